"""The cloud as the program wires it, beside a terminal that calls itself the cloud."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cloud import config, keys, wiring
from cloud.storage.migration import migrate
from protocol.topics import Down, Up, address
from tests.cloud.gateway.test_station import DEADLINE_S, Post, until
from tests.cloud.town import SITE, TENANT, Till, build_town
from tests.services.broker import BOTH_BROKERS, Broker, Client, running_broker

HERE, THIEF = (address(TENANT, SITE, name) for name in ("t-0001", "t-0002"))


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


@pytest.fixture
def till(broker: Broker, tmp_path: Path, calm: None) -> Iterator[Till]:
    """Of a served cloud, with the keys that the town's people know."""
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
    built = build_town(database)
    till = built.add_till(HERE.terminal)  # before the line is up: that tells every terminal
    with wiring.cloud_of(settings):
        yield till
    database.close()


def test_no_terminal_takes_the_session_of_the_cloud_over(broker: Broker, till: Till) -> None:
    """A session that is taken over comes back, and tells everything again."""
    post = Post(broker, HERE)
    post.say(Up.TX, till.batch(till.open()).data)
    post.wait_mark(1)
    until(lambda: bool(post.heard(Down.BUNDLE)), "the bundle that a new line tells")
    before = len(post.heard(Down.BUNDLE))
    thief = Client(broker.port, broker.identities[THIEF], "cloud", broker.authority.ca)
    assert thief.connected.wait(DEADLINE_S)
    post.say(Up.TX, till.batch(till.sale(None, tender="cash")).data)
    post.wait_mark(2)
    thief.close()
    post.client.close()
    assert len(post.heard(Down.BUNDLE)) == before


def test_the_name_at_the_broker_is_the_same_at_each_start_and_another_for_each_key(
    tmp_path: Path,
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    keys.make(first)
    keys.make(second)
    names = [keys.client_id(folder) for folder in (first, first, second)]
    assert names[0] == names[1] != names[2]
    assert all(len(name) == len("cloud-") + 32 for name in names)
