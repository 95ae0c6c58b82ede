"""The gateway as the program wires it: its name at the broker, its word on time."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner

from cloud import config, keys, wiring
from cloud.__main__ import app
from cloud.config import Settings
from cloud.ledger.transaction import Ledger
from cloud.members import store as members
from cloud.storage.engine import Database
from cloud.storage.migration import migrate
from protocol.codec import encode
from protocol.member_list import accept
from protocol.shadow import Reported
from protocol.topics import Down, Up, address
from tests.cloud.gateway.clocks import DEADLINE_S, until
from tests.cloud.gateway.test_station import LEDGER_KEYS, Post
from tests.cloud.town import CURRENCY, SITE, TENANT, Till, build_town
from tests.services.broker import BOTH_BROKERS, Broker, Client, running_broker

HERE, THIEF = (address(TENANT, SITE, name) for name in ("t-0001", "t-0002"))

AHEAD_MS = 3_000_000_000_000  # in the year 2065


@pytest.fixture(params=BOTH_BROKERS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    with running_broker(request.param, tmp_path, (HERE, THIEF)) as running:
        yield running


@pytest.fixture
def calm() -> Iterator[None]:
    """The program calms the collector for good; the tests behind this one keep theirs."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


class Program(NamedTuple):
    """A cloud that nobody serves yet; its till has said nothing yet."""

    settings: Settings
    database: Database
    till: Till


@pytest.fixture
def program(broker: Broker, tmp_path: Path, calm: None) -> Iterator[Program]:
    """With the keys that the town's people know."""
    file = tmp_path / "cloud.toml"
    file.write_text(
        f'tenant = "{TENANT}"\n[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\n'
        f'ca = "{broker.cloud.ca}"\ncertificate = "{broker.cloud.certificate}"\n'
        f'key = "{broker.cloud.key}"\n'
    )
    settings = config.load(file)
    settings.keys.mkdir(parents=True)
    for name in ("ledger", "rules"):
        private = Ed25519PrivateKey.from_private_bytes(sha256(name.encode()).digest())
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (settings.keys / f"{name}.pem").write_bytes(pem)
    database = wiring.database_of(settings)
    migrate(database)
    town = build_town(database)
    town.add_members("ann")
    yield Program(settings, database, town.add_till(HERE.terminal))
    database.close()


@pytest.fixture
def post(broker: Broker, program: Program) -> Iterator[Post]:
    """The terminal's connection, while the program is served."""
    with wiring.cloud_of(program.settings):
        mine = Post(broker, HERE)
        # A broker keeps nothing for a session that never was: the cloud is there first.
        until(lambda: bool(mine.heard(Down.BUNDLE)), "the bundle that a new line tells")
        yield mine
        mine.client.close()


def test_no_terminal_takes_the_session_of_the_cloud_over(
    broker: Broker, program: Program, post: Post
) -> None:
    """A session that is taken over comes back, and tells everything again."""
    till = program.till
    post.say(Up.TX, till.batch(till.open()).data)
    post.wait_mark(1)
    before = len(post.heard(Down.BUNDLE))
    thief = Client(broker.port, broker.identities[THIEF], "cloud", broker.authority.ca)
    assert thief.connected.wait(DEADLINE_S)
    post.say(Up.TX, till.batch(till.sale(None, tender="cash")).data)
    post.wait_mark(2)
    thief.close()
    assert len(post.heard(Down.BUNDLE)) == before


def test_a_ledger_keeps_its_feed_until_it_is_restored(program: Program) -> None:
    def feed() -> int:
        with wiring.cloud_of(program.settings), program.database.read() as connection:
            return members.feed(connection)

    first = feed()
    assert 0 < first == feed()
    restored = ["--config", str(program.settings.folder / "cloud.toml"), "restored"]
    assert CliRunner().invoke(app, restored).exit_code == 0
    second = feed()
    assert 0 < second == feed() != first


@pytest.fixture
def years_ahead(program: Program) -> None:
    """The clock was wrong once, while a record came."""
    ledger = Ledger(program.database, CURRENCY, lambda: AHEAD_MS)
    ledger.ingest([program.till.batch(program.till.open())])


@pytest.mark.usefixtures("years_ahead")
def test_what_is_told_after_a_start_is_never_older_than_what_is_kept(
    program: Program, post: Post
) -> None:
    post.say(Up.TX, program.till.batch(program.till.sale(None, tender="cash")).data)
    assert post.wait_mark(2).server_ms >= AHEAD_MS
    post.say(Up.REPORTED, encode(Reported(epoch=1)))
    until(lambda: bool(post.heard(Down.MEMBERS)), "the member list")
    assert accept(post.heard(Down.MEMBERS)[0], LEDGER_KEYS).server_ms >= AHEAD_MS


def test_the_name_at_the_broker_is_the_same_at_each_start_and_another_for_each_key(
    tmp_path: Path,
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    keys.make(first)
    keys.make(second)
    names = [keys.client_id(folder) for folder in (first, first, second)]
    assert names[0] == names[1] != names[2]
    assert all(len(name) == len("cloud-") + 32 for name in names)
