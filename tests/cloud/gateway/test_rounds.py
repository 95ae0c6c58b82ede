"""One round of the gateway: what fails is left out alone, what is said is kept once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import event, update

from cloud.fleet import store as fleet
from cloud.gateway.counts import Counts
from cloud.gateway.station import QUEUE_MAX, SAID_BYTES_MAX, STALLED_S, Station
from cloud.gateway.tell import Teller
from cloud.ledger.transaction import Ledger
from cloud.storage.schema import terminals
from protocol.codec import encode
from protocol.shadow import Reported
from protocol.status import Status
from protocol.topics import Up, address, up_topic
from tests.cloud.gateway.clocks import DEADLINE_S, Clocks, until
from tests.cloud.gateway.test_tell import Line
from tests.cloud.town import CURRENCY, LEDGER_KEY, SITE, TENANT, Town


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
    until(lambda: all(message.acknowledged for message in messages), "every message is done")


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


class Held(Line):
    """A line that takes nothing back from whoever speaks until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.spoken_to, self.let_go = threading.Event(), threading.Event()

    def publish(self, topic: str, payload: bytes, *, retain: bool) -> bool:
        self.spoken_to.set()
        return self.let_go.wait(DEADLINE_S) and super().publish(topic, payload, retain=retain)


class SetClocks(Clocks):
    """A monotonic clock that a test sets."""

    now_s = 0.0

    def mono_s(self) -> float:  # type: ignore[override]
        return self.now_s


def test_a_thread_that_hangs_is_no_longer_alive(town: Town, registry: CollectorRegistry) -> None:
    town.add_till("t-0001")
    line, clocks = Held(), SetClocks()
    ledger = Ledger(town.database, CURRENCY, Clocks.wall_ms)
    teller = Teller(town.database, line, LEDGER_KEY, TENANT, Clocks.wall_ms)
    station = Station(town.database, ledger, teller, Counts(registry), clocks, TENANT)
    assert not station.is_alive
    station.start()
    station.bundle_published()
    assert line.spoken_to.wait(DEADLINE_S)
    assert station.is_alive
    clocks.now_s = STALLED_S
    assert not station.is_alive
    line.let_go.set()
    until(lambda: station.is_alive, "the station goes on")
    station.stop()
    assert not station.is_alive


def fill(station: Station) -> list[Message]:
    """As many messages as there is room for, of nobody that we know."""
    messages = [Message("elsewhere", b"") for _ in range(QUEUE_MAX)]
    for message in messages:
        station.on_message(message)
    return messages


def test_nobody_waits_for_a_full_station_and_everything_is_said_later(
    town: Town, station: Station, line: Line
) -> None:
    town.add_till("t-0001")
    messages = fill(station)

    def tell() -> None:
        station.on_line_up()
        station.terminal_changed("t-0001")
        station.bundle_published()
        station.members_changed()
        station.command("t-0001", b"")

    told = threading.Thread(target=tell, daemon=True)
    told.start()
    told.join(DEADLINE_S)
    assert not told.is_alive()
    station.start()
    until(lambda: all(message.acknowledged for message in messages), "every message is done")
    assert [leaf for leaf, _, _ in line.said] == ["ack", "desired", "bundle"]  # once


def test_members_that_changed_while_a_station_was_full_are_told(
    town: Town, registry: CollectorRegistry
) -> None:
    line = Held()
    line.let_go.set()
    ledger = Ledger(town.database, CURRENCY, Clocks.wall_ms)
    teller = Teller(town.database, line, LEDGER_KEY, TENANT, Clocks.wall_ms)
    station = Station(town.database, ledger, teller, Counts(registry), Clocks(), TENANT)
    town.add_members("ann")
    town.add_till("t-0001")
    deliver(station, said("t-0001", Up.REPORTED, encode(Reported())))
    until(lambda: bool(line.lists()), "a list")
    line.let_go.clear()
    line.spoken_to.clear()
    station.bundle_published()
    assert line.spoken_to.wait(DEADLINE_S)
    fill(station)
    town.add_members("bob")
    station.members_changed()
    line.let_go.set()
    until(lambda: [one.member for one in line.lists()[-1].members] == ["bob"], "bob is told")
    station.stop()
