"""Damage that fits together: each sum is right and each fold, and the records say otherwise."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.sql import func

from cloud.fleet import store as fleet
from cloud.ledger.audit import POINTS_DIFFER, PRICE_DIFFERS
from cloud.ledger.transaction import Ledger
from cloud.storage.rows import NOTED, QUARANTINED, QuarantineRow
from cloud.storage.schema import balances, bundles, entries, epochs, quarantine, records, states
from cloud.storage.states import COLUMNS
from protocol.record import Kind, Line, Sealed, Tender, record_hash
from protocol.rules.bundle import Product
from tests.cloud.ledger.books import verdict_of
from tests.cloud.town import MORNING_MS, Till, Town, make_bundle

SALE = records.c.kind == int(Kind.SALE)
OF_SALE = entries.c.place.in_(select(records.c.place).where(SALE))
CASH, SALES = entries.c.account.startswith("cash:"), entries.c.account.startswith("sales:")


def _add_up(connection: Connection) -> None:
    """Make balances the sums of entries again."""
    account, unit, amount = entries.c.account, entries.c.unit, entries.c.amount
    connection.execute(delete(balances))
    sums = select(account, unit, func.sum(amount)).group_by(account, unit)
    rows = connection.execute(sums).all()
    values = [{"account": name, "unit": of, "amount": int(total)} for name, of, total in rows]
    if values:
        connection.execute(insert(balances), values)


def _hundredfold(connection: Connection) -> None:
    connection.execute(
        update(entries).where(OF_SALE, CASH | SALES).values(amount=entries.c.amount * 100)
    )


def _elsewhere(connection: Connection) -> None:
    connection.execute(update(entries).where(OF_SALE, SALES).values(account="sales:site-2"))


def _without_entries(connection: Connection) -> None:
    connection.execute(delete(entries).where(OF_SALE))


def _noted(connection: Connection) -> None:
    _without_entries(connection)
    connection.execute(update(records).where(SALE).values(state=NOTED))


def _apart(connection: Connection) -> None:
    _without_entries(connection)
    connection.execute(update(records).where(SALE).values(state=QUARANTINED))
    connection.execute(update(epochs).values(quarantined=1))


def _unreadable(connection: Connection) -> None:
    """Bytes that nobody can read, and everything that follows from them set right."""
    _without_entries(connection)
    data = b"\xd2"
    connection.execute(
        update(records).where(SALE).values(data=data, hash=record_hash(data), kind=0, state=NOTED)
    )
    connection.execute(update(epochs).values(head_hash=record_hash(data)))
    row = QuarantineRow("t-0001", 1, 2, record_hash(data), data, "internal", MORNING_MS)
    connection.execute(insert(quarantine).values(row._asdict()))


def _unreadable_apart(connection: Connection) -> None:
    _unreadable(connection)
    connection.execute(update(records).where(records.c.kind == 0).values(state=QUARANTINED))
    connection.execute(update(epochs).values(quarantined=1))
    connection.execute(delete(quarantine))


def _counted_apart(connection: Connection) -> None:
    connection.execute(update(epochs).values(quarantined=1))


def _with_a_gap(connection: Connection) -> None:
    connection.execute(update(records).where(SALE).values(gap=-50, audit=PRICE_DIFFERS))
    connection.execute(update(entries).where(OF_SALE, SALES).values(amount=entries.c.amount - 50))
    place = connection.execute(select(records.c.place).where(SALE)).scalar_one()
    leg = {"place": place, "line": 9, "account": "price_variance:site-1", "unit": "CNY"}
    connection.execute(insert(entries).values(**leg, amount=50))


def _flagged(connection: Connection) -> None:
    connection.execute(update(records).where(SALE).values(audit=PRICE_DIFFERS))


def _headless(connection: Connection) -> None:
    connection.execute(update(epochs).values(upto_seq=0))


DAMAGE: dict[str, Callable[[Connection], None]] = {
    "a hundredfold sale": _hundredfold,
    "a sale of another site": _elsewhere,
    "a sale without entries": _without_entries,
    "a sale that is only noted": _noted,
    "a sale kept apart for no reason": _apart,
    "bytes that nobody can read": _unreadable,
    "bytes that nobody can read, kept apart for no reason": _unreadable_apart,
    "a number of records kept apart": _counted_apart,
    "a gap that the bundle does not know": _with_a_gap,
    "a finding that the bundle does not know": _flagged,
    "a chain without its head": _headless,
    "a time": lambda connection: _set(connection, occurred_ms=1),
    "a kind": lambda connection: _set(connection, kind=int(Kind.TOP_UP)),
    "an id": lambda connection: _set(connection, tid=bytes(16)),
}


def _set(connection: Connection, **values: object) -> None:
    connection.execute(update(records).where(SALE).values(**values))


def _damaged(town: Town, damage: Callable[[Connection], None]) -> list[str]:
    assert verdict_of(town.database).faults == []
    with town.database.write() as connection:
        damage(connection)
        _add_up(connection)
    return verdict_of(town.database).faults


@pytest.mark.parametrize("what", DAMAGE)
def test_a_guests_sale_is_what_its_record_says(town: Town, ledger: Ledger, what: str) -> None:
    till = town.add_till("t-0001")
    ledger.ingest([till.batch(till.open(), till.sale(None, tender="cash"))])
    assert len(_damaged(town, DAMAGE[what])) == 1


def test_a_record_is_booked_for_whom_its_card_was_issued_to(town: Town, ledger: Ledger) -> None:
    town.add_members("ann", "bob")
    till = town.add_till("t-0001")
    ledger.ingest([till.batch(till.open(), till.top_up("ann", 500))])

    def give_to_bob(connection: Connection) -> None:
        connection.execute(update(records).where(records.c.member == "ann").values(member="bob"))
        moved = entries.c.account == "principal:ann"
        connection.execute(update(entries).where(moved).values(account="principal:bob"))
        found = connection.execute(select(states.c.member, *(states.c[name] for name in COLUMNS)))
        of = {member: dict(zip(COLUMNS, values, strict=True)) for member, *values in found}
        for member, other in (("ann", "bob"), ("bob", "ann")):
            row = update(states).where(states.c.member == member)
            connection.execute(row.values(of[other]))

    assert _damaged(town, give_to_bob) == ["t-0001/1/2: booked for bob, its card is ann's"]


def _voided(town: Town, ledger: Ledger) -> dict[str, int]:
    """Voids behind and before their sale, twice, of nothing, of another member's sale: places."""
    town.add_members("ann", "bob")
    one, two = town.add_till("t-0001"), town.add_till("t-0002")
    early, late = (one.open(), one.sale("ann", tender="cash")), one.sale("ann", tender="cash")
    tids = [early[1].record.tid, late.record.tid]
    voids = {
        "first": two.open(),
        "void": two.void("ann", tids[0]),
        "again": two.void("ann", tids[0]),
        "before": two.void("ann", tids[1]),
        "foreign": two.void("bob", tids[0]),
        "of nothing": two.void("bob", b"n" * 16),
    }
    ledger.ingest([one.batch(*early)])
    ledger.ingest([two.batch(*voids.values())])
    ledger.ingest([one.batch(late)])
    named = {"early": early[1], "late": late, **voids}
    with town.database.read() as connection:
        found = connection.execute(select(records.c.hash, records.c.place))
        places = {row.hash: row.place for row in found}
    return {name: places[sealed.hash] for name, sealed in named.items()}


def _move(places: dict[str, int], giver: str, taker: str) -> Callable[[Connection], None]:
    at, to = places[giver], places[taker]
    statement = update(entries).where(entries.c.place == at).values(place=to)

    def move(connection: Connection) -> None:
        connection.execute(statement)

    return move


@pytest.mark.parametrize(
    ("giver", "taker", "wrong"),
    [
        ("void", "foreign", "t-0002/1/2: a void that takes back something else"),
        ("void", "before", "t-0002/1/2: a void that takes back something else"),
        ("early", "late", "t-0002/1/2: a void that takes back something else"),
    ],
)
def test_a_void_takes_back_what_it_names(
    town: Town, ledger: Ledger, giver: str, taker: str, wrong: str
) -> None:
    places = _voided(town, ledger)
    assert wrong in _damaged(town, _move(places, giver, taker))


def test_what_is_kept_apart_has_a_reason(town: Town, ledger: Ledger) -> None:
    till = town.add_till("t-0001")
    ledger.ingest([till.batch(till.open(), till.top_up("eve", 5))])

    def without_a_reason(connection: Connection) -> None:
        connection.execute(delete(quarantine))

    assert _damaged(town, without_a_reason) == ["t-0001/1/2: kept apart for no reason"]


def _charged(till: Till, member: str | None, price: int) -> Sealed:
    """A bun that costs 300, sold for ``price``."""
    lines = (Line("p-0", 1, 300, price),)
    tenders = (Tender("stored_value" if member else "cash", price),)
    return till.sale(member, lines=lines, tenders=tenders, earned=3 if member else 0)


def _a_bundle_for_it(connection: Connection) -> None:
    """A bundle that was never published makes 400 the right price."""
    other = make_bundle(products=(Product("p-0", 400, "", ""),))
    connection.execute(update(bundles).values(data=other.data))
    connection.execute(update(records).where(SALE).values(audit=POINTS_DIFFER, gap=0))


def _a_wider_gap(connection: Connection) -> None:
    connection.execute(update(records).where(SALE).values(gap=-100))
    wider = {"sales:site-1": -350, "price_variance:site-1": 100}
    for account, amount in wider.items():
        of = update(entries).where(OF_SALE, entries.c.account == account)
        connection.execute(of.values(amount=amount))


@pytest.mark.parametrize(("price", "damage"), [(400, _a_bundle_for_it), (250, _a_wider_gap)])
def test_a_wrong_price_stays_as_wrong_as_it_was(
    town: Town, ledger: Ledger, price: int, damage: Callable[[Connection], None]
) -> None:
    till = town.add_till("t-0001")
    ledger.ingest([till.batch(till.open(), _charged(till, None, price))])
    assert len(_damaged(town, damage)) == 1


def test_wrong_prices_and_closed_epochs_are_whole(town: Town, ledger: Ledger) -> None:
    town.add_members("ann")
    till = town.add_till("t-0001")
    records = (
        till.open(),
        till.top_up("ann", 5_000),
        _charged(till, "ann", 400),
        _charged(till, "ann", 200),
    )
    ledger.ingest([till.batch(*records)])
    with town.database.write() as connection:
        fleet.revoke(connection, "t-0001", MORNING_MS)
    ledger.ingest([till.batch(till.sale("ann"), till.top_up("ann", 5))])
    verdict = verdict_of(town.database)
    assert (verdict.faults, verdict.records) == ([], 6)
