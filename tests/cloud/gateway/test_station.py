"""The gateway on real brokers: what terminals send is committed, then acknowledged, then told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from cloud.fleet import store as fleet
from cloud.gateway.counts import Counts
from cloud.gateway.mqtt import MqttLine, MqttSettings
from cloud.gateway.station import Station
from cloud.gateway.tell import Teller
from cloud.ledger.transaction import Ledger
from cloud.members import store as members
from cloud.storage.engine import Database, open_database
from cloud.storage.migration import migrate
from protocol import member_list, shadow, watermark
from protocol.codec import encode
from protocol.member_list import MEMBERS_MAX
from protocol.rules.bundle import accept
from protocol.shadow import Reported
from protocol.status import Status
from protocol.topics import RETAINED, Address, Down, Up, address, down_topic, up_topic
from protocol.watermark import Watermark
from tests.cloud.gateway.clocks import DEADLINE_S, Clocks, until
from tests.cloud.town import (
    CURRENCY,
    LEDGER_KEY,
    RULES_KEY,
    SITE,
    TENANT,
    Till,
    Town,
    build_town,
)
from tests.services.broker import BOTH_BROKERS, Broker, Client, running_broker

pytest_plugins = ["tests.services.postgres"]

CLIENT_ID = "cloud-5ec2e7"
HERE, THERE = (address(TENANT, SITE, name) for name in ("t-0001", "t-0002"))
LEDGER_KEYS = {LEDGER_KEY.key_id: LEDGER_KEY.verifier}


class Cloud:
    """A running gateway over a town; ``stop`` ends its threads."""

    def __init__(self, broker: Broker, database: Database) -> None:
        settings = MqttSettings(
            client_id=CLIENT_ID,
            host="127.0.0.1",
            port=broker.port,
            ca=broker.cloud.ca,
            certificate=broker.cloud.certificate,
            key=broker.cloud.key,
        )
        self.registry = CollectorRegistry()
        self.line = MqttLine(settings, TENANT, Random(1).random, Clocks.mono_s)
        ledger = Ledger(database, CURRENCY, Clocks.wall_ms)
        teller = Teller(database, self.line, LEDGER_KEY, TENANT, Clocks.wall_ms)
        counts = Counts(self.registry)
        self.station = Station(database, ledger, teller, counts, Clocks(), TENANT)
        self.station.start()
        self.line.start(self.station)
        until(lambda: self.line.is_up, "the line to the broker stands")

    def stop(self) -> None:
        self.station.stop()
        self.line.stop()

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"tapledger_{name}_total", labels) or 0.0


class Post:
    """A terminal's own connection."""

    def __init__(self, broker: Broker, at: Address) -> None:
        self.at = at
        identity = broker.identities[at]
        self.client = Client(broker.port, identity, at.terminal, identity.ca)
        assert self.client.connected.wait(DEADLINE_S)
        self.client.mqtt.subscribe(down_topic(at, Down.ACK).rsplit("/", 1)[0] + "/#", qos=1)
        assert self.client.subscribed.wait(DEADLINE_S)

    def say(self, leaf: Up, payload: bytes) -> None:
        info = self.client.mqtt.publish(up_topic(self.at, leaf), payload, qos=1)
        info.wait_for_publish(DEADLINE_S)
        assert info.is_published()

    def heard(self, leaf: Down) -> list[bytes]:
        with self.client.arrived:
            topic = down_topic(self.at, leaf)
            return [payload for name, payload in self.client.messages if name == topic]

    def wait_mark(self, seq: int) -> Watermark:
        until(lambda: any(mark.upto_seq >= seq for mark in self.marks()), f"watermark {seq}")
        return next(mark for mark in self.marks() if mark.upto_seq >= seq)

    def marks(self) -> list[Watermark]:
        return [watermark.accept(data, LEDGER_KEYS) for data in self.heard(Down.ACK)]


@pytest.fixture(params=BOTH_BROKERS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    with running_broker(request.param, tmp_path, (HERE, THERE)) as running:
        yield running


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    database = open_database("sqlite:///ledger.db", tmp_path)
    migrate(database)
    yield build_town(database)
    database.close()


@pytest.fixture
def till(town: Town) -> Till:
    town.add_members("ann", "bob")
    return town.add_till(HERE.terminal)


@pytest.fixture
def cloud(broker: Broker, town: Town, till: Till) -> Iterator[Cloud]:
    assert till.site == SITE
    running = Cloud(broker, town.database)
    yield running
    running.stop()


@pytest.fixture
def post(broker: Broker, cloud: Cloud) -> Iterator[Post]:
    assert cloud.station.is_alive
    mine = Post(broker, HERE)
    yield mine
    mine.client.close()


def principal(town: Town, member: str) -> int:
    with town.database.read() as connection:
        return members.member(connection, member).state.principal


def test_what_is_sent_is_committed_and_then_told(town: Town, till: Till, post: Post) -> None:
    batch = till.batch(till.open(), till.top_up("ann", 500))
    for _ in range(3):
        post.say(Up.TX, batch.data)
    mark = post.wait_mark(2)
    assert (mark.epoch, mark.head_hash, mark.missing) == (1, till.head.hash, ())
    post.say(Up.TX, till.batch(till.top_up("ann", 7)).data)
    post.wait_mark(3)
    assert principal(town, "ann") == 507


def test_a_watermark_waits_for_a_terminal_that_comes_later(
    broker: Broker, till: Till, post: Post
) -> None:
    post.say(Up.TX, till.batch(till.open()).data)
    post.wait_mark(1)
    post.client.close()
    again = Post(broker, HERE)
    assert again.wait_mark(1).head_hash == till.head.hash
    again.client.close()


def test_what_cannot_be_taken_is_counted_and_the_rest_goes_on(
    broker: Broker, town: Town, till: Till, cloud: Cloud, post: Post
) -> None:
    records = till.open(), till.top_up("ann", 500)
    good = till.batch(*records).data
    other = Post(broker, THERE)
    other.say(Up.TX, good)
    post.say(Up.TX, b"\x00")
    post.say(Up.TX, good[:-1] + bytes([good[-1] ^ 1]))
    post.say(Up.TX, b"\x00" * 40_000)
    post.say(Up.STATUS, b"no status")
    post.say(Up.REPORTED, b"\xff")
    post.say(Up.RSP, b"")
    post.say(Up.TX, good)
    post.wait_mark(2)
    other.client.close()
    assert principal(town, "ann") == 500
    until(lambda: cloud.count("refused", reason="malformed") >= 4, "malformed messages counted")
    assert cloud.count("refused", reason="wrong_terminal") == 1
    assert cloud.count("refused", reason="bad_signature") == 1
    assert cloud.count("refused", reason="too_large") == 1
    assert cloud.count("gateway_failures") == 0


def test_a_new_line_tells_what_a_terminal_must_know(
    broker: Broker, town: Town, cloud: Cloud, post: Post
) -> None:
    assert cloud.line.is_up
    until(lambda: bool(post.heard(Down.BUNDLE)), "a bundle")
    until(lambda: bool(post.heard(Down.DESIRED)), "the desired state")
    bundle = accept(post.heard(Down.BUNDLE)[0], {RULES_KEY.key_id: RULES_KEY.verifier})
    assert bundle.digest == town.published.digest
    desired = shadow.accept(post.heard(Down.DESIRED)[0], LEDGER_KEYS)
    assert (desired.terminal, desired.revision) == (HERE.terminal, 1)
    assert {Down.BUNDLE, Down.DESIRED, Down.ACK} <= RETAINED
    assert broker.port


def test_a_killed_broker_loses_nothing(broker: Broker, town: Town, till: Till) -> None:
    cloud = Cloud(broker, town.database)
    post = Post(broker, HERE)
    records = [till.open(), *(till.top_up("ann", 1) for _ in range(20))]
    post.say(Up.TX, till.batch(*records[:5]).data)
    post.wait_mark(5)
    post.client.close()
    broker.kill()
    until(lambda: not cloud.line.is_up, "the cloud sees that the line is gone")
    broker.start()
    until(lambda: cloud.line.is_up, "the cloud comes back by itself")
    again = Post(broker, HERE)
    again.wait_mark(5)  # told again, whatever the broker had kept
    again.say(Up.TX, till.batch(*records[5:]).data)
    again.wait_mark(21)
    again.client.close()
    cloud.stop()
    assert principal(town, "ann") == 20


def test_what_waits_for_a_cloud_that_is_away_is_taken_when_it_is_back(
    broker: Broker, town: Town, till: Till
) -> None:
    Cloud(broker, town.database).stop()  # its session stays with the broker
    post = Post(broker, HERE)
    post.say(Up.TX, till.batch(till.open(), till.top_up("ann", 500)).data)
    cloud = Cloud(broker, town.database)
    post.wait_mark(2)
    post.client.close()
    cloud.stop()
    assert principal(town, "ann") == 500


def test_members_reach_a_terminal_that_says_what_it_has(
    town: Town, till: Till, cloud: Cloud, post: Post
) -> None:
    names = [f"m-{number:04}" for number in range(MEMBERS_MAX + 20)]
    town.add_members(*names)
    post.say(Up.REPORTED, encode(Reported(list_version=0)))
    held: dict[str, int] = {}
    version = 0

    def follow() -> None:
        nonlocal version
        held.clear()
        version = 0
        for data in post.heard(Down.MEMBERS):
            news = member_list.accept(data, LEDGER_KEYS)
            if news.base == version:
                held.update((each.member, each.state.principal) for each in news.members)
                version = news.list_version

    def has(member: str, amount: int) -> bool:
        follow()
        return held.get(member) == amount

    until(lambda: has(names[-1], 0), "the whole list")
    assert set(names) <= set(held)
    assert len(post.heard(Down.MEMBERS)) >= 2
    post.say(Up.TX, till.batch(till.open(), till.top_up("bob", 900)).data)
    until(lambda: has("bob", 900), "the change of one member")
    assert cloud.station.is_alive
    last = member_list.accept(post.heard(Down.MEMBERS)[-1], LEDGER_KEYS)
    assert (last.epoch, last.upto_seq) == (1, 2)


def test_what_a_terminal_says_of_itself_is_kept(town: Town, post: Post) -> None:
    def seen() -> Any:
        with town.database.read() as connection:
            return fleet.terminal(connection, HERE.terminal)

    post.say(Up.STATUS, encode(Status(online=True, session="s-2", epoch=1, head_seq=9)))
    until(lambda: seen().online, "birth")
    assert seen().queue == 9
    post.say(Up.STATUS, encode(Status(online=False, session="s-1")))
    post.say(Up.REPORTED, encode(Reported(bundle_version=1)))
    until(lambda: seen().reported is not None, "report")
    assert seen().online  # the death of an older session does not count
    post.say(Up.STATUS, encode(Status(online=False, session="s-2")))
    until(lambda: not seen().online, "death")


@pytest.mark.broker_nats
@pytest.mark.postgres
def test_a_database_that_is_away_holds_messages_back(tmp_path: Path, postgres: Any) -> None:
    database = open_database(postgres.new_database())
    migrate(database)
    town = build_town(database)
    town.add_members("ann")
    till = town.add_till(HERE.terminal)
    with running_broker("nats", tmp_path, (HERE, THERE)) as broker:
        cloud = Cloud(broker, database)
        post = Post(broker, HERE)
        post.say(Up.TX, till.batch(till.open()).data)
        post.wait_mark(1)
        postgres.kill()
        post.say(Up.TX, till.batch(till.top_up("ann", 500)).data)
        until(lambda: cloud.count("refused", reason="storage_down") > 0, "the outage is counted")
        assert post.marks()[-1].upto_seq == 1
        postgres.start()
        post.wait_mark(2)
        post.client.close()
        cloud.stop()
    assert principal(town, "ann") == 500
    database.close()
