"""One round of the gateway: what fails is left out alone, what is said is kept once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import event, update

from cloud.fleet import store as fleet
from cloud.gateway.counts import Counts
from cloud.gateway.station import SAID_BYTES_MAX, Station
from cloud.gateway.tell import Teller
from cloud.ledger.transaction import Ledger
from cloud.storage.schema import terminals
from protocol.codec import encode
from protocol.status import Status
from protocol.topics import Up, address, up_topic
from tests.cloud.gateway.test_tell import Line
from tests.cloud.town import CURRENCY, LEDGER_KEY, MORNING_MS, SITE, TENANT, Town

DEADLINE_S = 20.0


class Clocks:
    @staticmethod
    def wall_ms() -> int:
        return MORNING_MS

    @staticmethod
    def mono_s() -> float:
        return time.monotonic()


@dataclass
class Message:
    """A message as the line hands it over."""

    topic: str
    payload: bytes
    acknowledged: int = 0

    def done(self) -> None:
        self.acknowledged += 1


def said(terminal: str, leaf: Up, payload: bytes) -> Message:
    return Message(up_topic(address(TENANT, SITE, terminal), leaf), payload)


def status(head_seq: int) -> bytes:
    return encode(Status(online=True, session="s", epoch=1, head_seq=head_seq))


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def station(town: Town, registry: CollectorRegistry, line: Line) -> Iterator[Station]:
    """Not started: what it is told before waits for one round."""
    ledger = Ledger(town.database, CURRENCY, Clocks.wall_ms)
    teller = Teller(town.database, line, LEDGER_KEY, TENANT, Clocks.wall_ms)
    made = Station(town.database, ledger, teller, Counts(registry), Clocks(), TENANT)
    yield made
    made.stop()


def deliver(station: Station, *messages: Message) -> None:
    for message in messages:
        station.on_message(message)
    station.start()
    end = time.monotonic() + DEADLINE_S
    while not all(message.acknowledged for message in messages):
        assert time.monotonic() < end, "everything is acknowledged"
        time.sleep(0.01)


def test_a_batch_is_committed_then_told_then_acknowledged(
    town: Town, station: Station, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another connection sees while the watermark goes out, and while the broker forgets."""
    till = town.add_till("t-0001")
    batch = said("t-0001", Up.TX, till.batch(till.open(), till.sale(None, tender="cash")).data)
    told: list[int] = []
    forgotten: list[tuple[int, int]] = []

    def committed() -> int:
        with town.database.read() as connection:
            return fleet.terminal(connection, "t-0001").upto_seq

    def publish(topic: str, payload: bytes, *, retain: bool) -> bool:
        told.append(committed())
        return Line.publish(line, topic, payload, retain=retain)

    def done() -> None:
        forgotten.append((committed(), len(line.marks())))
        Message.done(batch)

    monkeypatch.setattr(line, "publish", publish)
    monkeypatch.setattr(batch, "done", done)
    deliver(station, batch)
    assert (told, forgotten) == ([2], [(2, 1)])


def test_what_fails_twice_is_given_up_and_takes_nothing_along(
    town: Town, station: Station, registry: CollectorRegistry
) -> None:
    town.add_till("t-0001")
    town.add_till("t-0002")
    with town.database.write() as connection:
        broken = update(terminals).where(terminals.c.terminal == "t-0001").values(status=b"\xff")
        connection.execute(broken)
    death = encode(Status(online=False, session="s"))
    bad, good = said("t-0001", Up.STATUS, death), said("t-0002", Up.STATUS, status(9))
    deliver(station, bad, good)
    with town.database.read() as connection:
        kept = connection.execute(terminals.select().where(terminals.c.terminal == "t-0002")).one()
    assert kept.status == good.payload
    assert (bad.acknowledged, good.acknowledged) == (1, 1)
    assert registry.get_sample_value("tapledger_gateway_failures_total") == 2


def test_what_terminals_say_shares_a_transaction(town: Town, station: Station) -> None:
    town.add_till("t-0001")
    commits: list[object] = []
    event.listen(town.database.engine, "commit", commits.append)
    deliver(station, *(said("t-0001", Up.STATUS, status(seq)) for seq in range(20)))
    assert len(commits) == 1
    with town.database.read() as connection:
        assert fleet.terminal(connection, "t-0001").queue == 19


def test_what_is_too_large_to_be_said_is_refused_unread(
    town: Town, station: Station, registry: CollectorRegistry
) -> None:
    town.add_till("t-0001")
    deliver(station, said("t-0001", Up.REPORTED, b"\x00" * (SAID_BYTES_MAX + 1)))
    assert registry.get_sample_value("tapledger_refused_total", {"reason": "too_large"}) == 1
