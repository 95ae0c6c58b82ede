"""What a key can still do when its epoch is closed: hand in what gives nobody anything."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from sqlalchemy import select

from cloud.errors import TerminalRevoked
from cloud.fleet import store as fleet
from cloud.ledger.transaction import Ledger
from cloud.storage.rows import POSTED, QUARANTINED, SEQ_MAX
from cloud.storage.schema import epochs, records
from protocol.record import BundleRef, Kind, Line, Tender
from protocol.status import Status
from protocol.watermark import Standing
from tests.cloud.ledger.books import flags, fold_of, reasons, verdict_of
from tests.cloud.ledger.memory import Memory
from tests.cloud.town import MORNING_MS, Till, Town, card_of, make_bundle

HOUR_MS = 3_600_000
SEQ_FORGED = 1 << 52


@pytest.fixture
def till(town: Town, ledger: Ledger) -> Till:
    """A terminal with one record and 1,000 of ann's money in the ledger."""
    town.add_members("ann")
    till = town.add_till("t-0001")
    ledger.ingest([till.batch(till.open(), till.top_up("ann", 1_000))])
    return till


def revoke(town: Town, till: Till) -> None:
    with town.database.write() as connection:
        fleet.revoke(connection, till.terminal, till.at_ms)


def states(town: Town) -> list[str]:
    """What became of the records, in the order of their places."""
    with town.database.read() as connection:
        return list(connection.execute(select(records.c.state).order_by(records.c.place)).scalars())


def dear(amount: int, *methods: str) -> dict[str, Any]:
    """The fields of a sale of one thing of 300 for ``amount`` by each of ``methods``."""
    total = amount * len(methods)
    return {
        "lines": (Line("p-0", 1, 300, total),),
        "tenders": tuple(Tender(method, amount) for method in methods),
    }


GIVES: dict[str, tuple[Kind, dict[str, Any]]] = {
    "money": (Kind.TOP_UP, {"tenders": (Tender("cash", 7),)}),
    "points": (Kind.EARN, {"earned": 7}),
    "points of a redemption": (Kind.REDEEM, {"earned": 7}),
    "points for a redemption": (Kind.REDEEM, {"spent": 7}),
    "an invented price": (Kind.SALE, dear(900_000_000, "cash")),
    "a price of which a part is drawn": (Kind.SALE, dear(200, "cash", "stored_value")),
    "more points than the bundle": (Kind.SALE, dear(300, "cash") | {"earned": 4}),
    "more points for a lower price": (Kind.SALE, dear(100, "cash") | {"earned": 4}),
    "points of no bundle": (Kind.SALE, dear(300, "cash") | {"earned": 3, "bundle": None}),
    "spend of a forged bundle": (
        Kind.SALE,
        dear(900_000_000, "cash") | {"bundle": BundleRef(1, b"?" * 32)},
    ),
    "spend without a price": (
        Kind.SALE,
        {"lines": (Line("p-99", 1, 9, 900_000),), "tenders": (Tender("cash", 900_000),)},
    ),
}


@pytest.mark.parametrize("what", GIVES)
def test_a_closed_epoch_gives_nobody_anything(
    town: Town, ledger: Ledger, till: Till, what: str
) -> None:
    kind, fields = GIVES[what]
    revoke(town, till)
    till.at_ms += HOUR_MS
    before = fold_of(town.database, "ann")
    ledger.ingest([till.batch(till.record(kind, card=card_of("ann"), **fields))])
    assert reasons(town.database) == ["revoked"]
    assert states(town)[2:] == [QUARANTINED]
    assert fold_of(town.database, "ann") == before
    assert verdict_of(town.database).wrong == 0


def test_nothing_is_voided_after_a_revocation(town: Town, ledger: Ledger, till: Till) -> None:
    sale = till.sale("ann")
    ledger.ingest([till.batch(sale)])
    revoke(town, till)
    ledger.ingest([till.batch(till.void("ann", sale.record.tid))])
    assert reasons(town.database) == ["revoked"]
    assert fold_of(town.database, "ann").principal == 700


TAKES: dict[str, tuple[dict[str, Any], str]] = {
    "the price of the bundle": ({}, "revoked"),
    "less than the bundle's price": (dear(100, "stored_value"), "price_differs"),
    "fewer points": ({"earned": 1}, "points_differ"),
    "a guest's dear cash": ({**dear(500, "cash"), "card": None, "earned": 0}, "price_differs"),
    "a guest's unknown bundle": (
        {**dear(500, "cash"), "card": None, "earned": 0, "bundle": None},
        "unknown_bundle",
    ),
}


@pytest.mark.parametrize("what", TAKES)
def test_a_sale_that_gives_nothing_is_posted_and_flagged(
    town: Town, ledger: Ledger, till: Till, what: str
) -> None:
    fields, flag = TAKES[what]
    revoke(town, till)
    ledger.ingest([till.batch(till.sale("ann", **fields))])
    assert states(town)[2:] == [POSTED]
    assert flags(town.database) == [flag]
    assert verdict_of(town.database).wrong == 0


def test_a_revoked_terminal_hands_in_its_journal(town: Town, ledger: Ledger, till: Till) -> None:
    sale, top_up = till.sale("ann"), till.top_up("ann", 7)
    revoke(town, till)
    (mark,) = ledger.ingest([till.batch(sale, top_up)]).watermarks
    assert (mark.standing, mark.upto_seq) == (Standing.DRAIN_ONLY, 4)
    assert mark.quarantined == ((4, "revoked"),)
    assert fold_of(town.database, "ann").principal == 700


@pytest.mark.parametrize("online", [True, False])
def test_neither_a_clock_nor_a_status_gets_before_what_the_ledger_has(
    town: Town, ledger: Ledger, till: Till, *, online: bool
) -> None:
    told = Status(online=online, session="s", epoch=1, head_seq=SEQ_FORGED)
    with town.database.write() as connection:
        fleet.hear_status(connection, "t-0001", told, till.at_ms)
        fleet.revoke(connection, "t-0001", till.at_ms + HOUR_MS)
    (mark,) = ledger.ingest([till.batch(till.top_up("ann", 7))]).watermarks
    assert mark.quarantined == ((3, "revoked"),)


def test_a_clock_that_is_ahead_takes_nothing_from_what_the_ledger_has(
    town: Town, ledger: Ledger, till: Till
) -> None:
    till.at_ms += 24 * HOUR_MS
    ahead = till.top_up("ann", 7)
    ledger.ingest([till.batch(ahead)])
    with town.database.write() as connection:
        fleet.revoke(connection, "t-0001", MORNING_MS)
    (mark,) = ledger.ingest([till.batch(ahead)]).watermarks
    assert mark.quarantined == ()
    assert fold_of(town.database, "ann").principal == 1_007


def ends(town: Town) -> list[tuple[int, int]]:
    """When each epoch was closed, and with which record."""
    columns = epochs.c.closed_ms, epochs.c.closed_seq
    with town.database.read() as connection:
        found = connection.execute(select(*columns).order_by(epochs.c.chain))
        return [(row.closed_ms, row.closed_seq) for row in found]


def test_the_first_revocation_counts_and_is_of_one_terminal(
    town: Town, ledger: Ledger, till: Till
) -> None:
    other = town.add_till("t-0002")
    revoke(town, till)
    first = ends(town)
    assert first == [(till.at_ms, 2), (0, 0)]
    ledger.ingest([till.batch(till.top_up("ann", 7)), other.batch(other.open())])
    revoke(town, till)
    (mark,) = ledger.ingest([till.batch(till.top_up("ann", 7))]).watermarks
    assert mark.quarantined == ((3, "revoked"), (4, "revoked"))
    assert ends(town) == first


def test_a_record_up_to_the_end_of_its_epoch_is_taken() -> None:
    memory = Memory(make_bundle())
    memory.add_members("ann")
    till = memory.add_till("t-0001", make_bundle(), Random(1))
    chain = memory.chains["t-0001", 1]
    memory.chains["t-0001", 1] = chain._replace(closed_ms=1, closed_seq=2)
    made = memory.ingest(till.batch(till.open(), till.top_up("ann", 7), till.top_up("ann", 8)))
    assert [row.seq for row in made.quarantine] == [3]


def test_an_epoch_that_ended_gives_nobody_anything(town: Town, ledger: Ledger, till: Till) -> None:
    new = town.add_till("t-0001", epoch=2, granted_ms=till.at_ms + HOUR_MS)
    old, present = ledger.ingest(
        [
            till.batch(till.top_up("ann", 7), till.sale("ann")),
            new.batch(new.open(), new.top_up("ann", 50)),
        ]
    ).watermarks
    assert old.quarantined == ((3, "epoch_ended"),)
    assert (present.standing, present.quarantined) == (Standing.ACTIVE, ())
    assert fold_of(town.database, "ann").principal == 750
    assert flags(town.database) == ["epoch_ended"]


def test_what_a_trusted_key_still_hands_in_is_taken_as_before(
    town: Town, ledger: Ledger, till: Till
) -> None:
    town.add_till("t-0001", epoch=2, granted_ms=till.at_ms, trusted=True)
    till.at_ms += HOUR_MS
    (mark,) = ledger.ingest([till.batch(till.top_up("ann", 7), till.sale("ann"))]).watermarks
    assert mark.quarantined == ()
    assert flags(town.database) == []
    assert fold_of(town.database, "ann").principal == 707


def test_trust_in_one_key_is_none_in_the_one_before(town: Town, till: Till) -> None:
    town.add_till("t-0001", epoch=2, granted_ms=till.at_ms)
    town.add_till("t-0001", epoch=3, granted_ms=till.at_ms, trusted=True)
    assert ends(town) == [(till.at_ms, 2), (till.at_ms, SEQ_MAX), (0, 0)]


@pytest.mark.parametrize("how", ["revoked", "granted"])
def test_trust_ends_with_a_revocation_and_with_a_grant_that_does_not_trust(
    town: Town, ledger: Ledger, till: Till, how: str
) -> None:
    town.add_till("t-0001", epoch=2, trusted=True)
    ledger.ingest([till.batch(till.top_up("ann", 7))])
    if how == "revoked":
        revoke(town, till)
    else:
        town.add_till("t-0001", epoch=3)
    (mark,) = ledger.ingest([till.batch(till.top_up("ann", 8))]).watermarks
    assert mark.quarantined == ((4, "epoch_ended"),)
    assert fold_of(town.database, "ann").principal == 1_007


def test_a_fork_does_not_end_a_revocation(town: Town, ledger: Ledger, till: Till) -> None:
    here = till.head
    ledger.ingest([till.batch(till.top_up("ann", 100))])
    revoke(town, till)
    till.head = here
    (mark,) = ledger.ingest([till.batch(till.top_up("ann", 200))]).watermarks
    assert mark.standing is Standing.DRAIN_ONLY
    with pytest.raises(TerminalRevoked):
        town.add_till("t-0001", epoch=2)
