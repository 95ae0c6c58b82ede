"""What the cloud tells a terminal fits what that terminal said it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update

from cloud.gateway.tell import Teller
from cloud.members import store as members
from cloud.rules import store as rules
from cloud.storage.schema import states
from protocol import member_list, watermark
from protocol.member_list import LIST_BYTES_MAX, MEMBERS_MAX, MemberList
from protocol.rules import bundle
from protocol.shadow import Reported
from protocol.topics import address
from provisioning.brokers.port import PACKET_BYTES_MAX
from tests.cloud.town import (
    LEDGER_KEY,
    MORNING_MS,
    RULES_KEY,
    SITE,
    TENANT,
    Town,
    make_bundle,
)

if TYPE_CHECKING:
    from cloud.ledger.transaction import Ledger

AT = address(TENANT, SITE, "t-0001")
HOUR_MS = 3_600_000
KEYS = {LEDGER_KEY.key_id: LEDGER_KEY.verifier}


class Line:
    """A line that keeps what it was given; while it is down it takes nothing."""

    def __init__(self) -> None:
        self.is_up = True
        self.said: list[tuple[str, bytes, bool]] = []

    def publish(self, topic: str, payload: bytes, *, retain: bool) -> bool:
        if self.is_up:
            self.said.append((topic.rsplit("/", 1)[1], payload, retain))
        return self.is_up

    def lists(self) -> list[MemberList]:
        return [member_list.accept(data, KEYS) for leaf, data, _ in self.said if leaf == "members"]

    def bundles(self) -> list[tuple[int, bool]]:
        keys = {RULES_KEY.key_id: RULES_KEY.verifier}
        return [
            (bundle.accept(data, keys).bundle.number, retain)
            for leaf, data, retain in self.said
            if leaf == "bundle"
        ]

    def marks(self) -> list[tuple[int, int, bool]]:
        found = [
            (watermark.accept(data, KEYS), retain)
            for leaf, data, retain in self.said
            if leaf == "ack"
        ]
        return [(mark.epoch, mark.upto_seq, retain) for mark, retain in found]


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def teller(town: Town, line: Line) -> Teller:
    return Teller(town.database, line, LEDGER_KEY, TENANT, lambda: MORNING_MS)


def test_every_bundle_that_will_be_in_force_is_told(town: Town, line: Line, teller: Teller) -> None:
    with town.database.write() as connection:
        for number, activate_ms in ((2, 1), (3, HOUR_MS), (4, 2 * HOUR_MS), (5, 3 * HOUR_MS)):
            coming = make_bundle(
                number, activate_ms=activate_ms if number == 2 else MORNING_MS + activate_ms
            )
            rules.add_bundle(connection, coming, "test", 1)
    teller.heard(AT, Reported(bundle_version=1, armed_versions=(4,)))
    assert line.bundles() == [(2, False), (3, False), (5, True)]
    line.said.clear()
    teller.heard(AT, Reported(bundle_version=2, armed_versions=(3, 4, 5)))
    assert line.bundles() == []


def test_the_list_covers_records_of_the_epoch_that_is_being_sent(
    town: Town, ledger: Ledger, line: Line, teller: Teller
) -> None:
    town.add_members("ann")
    old = town.add_till("t-0001")
    ledger.ingest([old.batch(old.open(), old.top_up("ann", 100))])
    new = town.add_till("t-0001", epoch=2)
    ledger.ingest([new.batch(new.open())])
    teller.heard(AT, Reported(epoch=1))
    assert teller.tell_members()
    (first,) = line.lists()
    assert (first.epoch, first.upto_seq, first.server_ms) == (1, 2, MORNING_MS)
    teller.heard(AT, Reported(epoch=2))
    assert teller.tell_members()
    assert [(each.epoch, each.upto_seq) for each in line.lists()] == [(1, 2), (2, 1)]
    assert line.marks() == [(2, 1, True)]


def test_the_mark_that_stays_with_the_broker_is_of_the_epoch_that_is_being_sent(
    town: Town, ledger: Ledger, line: Line, teller: Teller
) -> None:
    old = town.add_till("t-0001")
    new = town.add_till("t-0001", epoch=2)
    teller.heard(AT, Reported(epoch=2))
    for till in (old, new):
        (mark,) = ledger.ingest([till.batch(till.open())]).watermarks
        teller.tell_watermark(mark)
    assert line.marks() == [(1, 1, False), (2, 1, True)]


def test_a_list_that_the_line_did_not_take_is_still_due(
    town: Town, line: Line, teller: Teller
) -> None:
    town.add_members("ann")
    town.add_till("t-0001")
    teller.heard(AT, Reported())
    line.is_up = False
    assert not teller.tell_members()
    line.is_up = True
    assert teller.tell_members()
    assert [each.complete for each in line.lists()] == [True]


def test_a_list_of_large_accounts_comes_in_messages_that_every_broker_takes(
    town: Town, line: Line, teller: Teller
) -> None:
    names = [f"m-{number:03}" for number in range(MEMBERS_MAX)]
    town.add_members(*names)
    town.add_till("t-0001")
    with town.database.write() as connection:  # one of them fits nowhere with others
        connection.execute(update(states).values(waiting_voids=bytes(16 * 300)))
        large = update(states).where(states.c.member == "m-100")
        connection.execute(large.values(waiting_voids=bytes(LIST_BYTES_MAX)))
    teller.heard(AT, Reported())
    assert teller.tell_members()
    lists = line.lists()
    assert [name for each in lists for name in (one.member for one in each.members)] == names
    assert [each.base for each in lists[1:]] == [each.list_version for each in lists[:-1]]
    assert [each.complete for each in lists] == [*(False for _ in lists[1:]), True]
    sizes = [len(data) for leaf, data, _ in line.said if leaf == "members"]
    numbers = [len(each.members) for each in lists]
    assert [n for n, size in zip(numbers, sizes, strict=True) if size > LIST_BYTES_MAX] == [1]
    assert LIST_BYTES_MAX * 2 < PACKET_BYTES_MAX


def test_a_list_of_another_life_of_the_ledger_counts_as_none(
    town: Town, line: Line, teller: Teller
) -> None:
    """Also when its version is one that this life will give out."""
    town.add_members("ann", "bob")
    town.add_till("t-0001")

    def begin(feed: int) -> None:
        with town.database.write() as connection:
            members.begin_feed(connection, feed)

    def told() -> list[tuple[int, int, list[str]]]:
        line.said.clear()
        assert teller.tell_members()
        return [
            (each.feed, each.base, [one.member for one in each.members]) for each in line.lists()
        ]

    begin(7)
    teller.heard(AT, Reported(list_version=4, feed=7))
    assert told() == []
    begin(8)
    assert told() == [(8, 0, ["ann", "bob"])]
    assert told() == []
    town.add_members("eve")
    assert told() == [(8, 4, ["eve"])]
    teller.heard(AT, Reported(list_version=6, feed=7))
    assert told() == [(8, 0, ["ann", "bob", "eve"])]
