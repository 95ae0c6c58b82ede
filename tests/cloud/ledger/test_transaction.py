"""The same plans on both databases: what is committed is what the pure core decided."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from cloud.errors import StorageDown
from cloud.fleet import store as fleet
from cloud.ledger import chains
from cloud.ledger.chains import Batch
from cloud.ledger.ingest import STATE_MAX
from cloud.ledger.proof import proof, quarantined
from cloud.ledger.statement import statement
from cloud.ledger.transaction import Ledger
from cloud.members import store as members
from cloud.storage.engine import Database
from cloud.storage.schema import balances, entries, epochs, records, states
from cloud.storage.unit_of_work import unit_of_work
from protocol.money import AMOUNT_MAX
from protocol.record import Kind, Tender
from protocol.watermark import Standing
from tests.cloud.ledger.books import fold_of, verdict_of
from tests.cloud.ledger.memory import Memory
from tests.cloud.ledger.test_ingest import deliveries, play
from tests.cloud.town import CURRENCY, MORNING_MS, Till, Town, make_bundle

HOUR_MS = 3_600_000


def a_day(seed: int) -> list[tuple[int, str, str, int, int]]:
    random = Random(seed)
    kinds = ["sale", "cash_sale", "top_up", "void", "overcharged", "redeem"]
    return [
        (
            random.randrange(3),
            random.choice(["ann", "bob"]),
            random.choice(kinds),
            random.randrange(1, 13),
            random.randrange(-3, 4),
        )
        for _ in range(40)
    ]


@pytest.mark.parametrize("seed", range(6))
def test_both_databases_hold_what_the_core_decided(town: Town, ledger: Ledger, seed: int) -> None:
    town.add_members("ann", "bob")
    tills = [town.add_till(f"t-000{n}") for n in range(3)]
    day = play(tills, a_day(seed))
    parts = deliveries(tills, day, Random(seed))
    memory = Memory(make_bundle())
    memory.add_members("ann", "bob")
    with town.database.read() as connection:
        for row in connection.execute(select(epochs).order_by(epochs.c.terminal)):
            memory.add_chain_row(row)
    held: Any = {}
    last: dict[str, Any] = {}
    while any(mark is None or mark != till.head.seq for till, mark in _heads(tills, last)):
        for part in parts:
            last |= {mark.terminal: mark for mark in ledger.ingest(part).watermarks}
            held = memory.ingest(*part, held=held).held
    for till in tills:
        assert last[till.terminal].head_hash == till.head.hash
        assert last[till.terminal].missing == ()
    for member in ("ann", "bob"):
        assert fold_of(town.database, member) == memory.checkpoints[member]
    with town.database.read() as connection:
        kept = {(row.account, row.unit): row.amount for row in connection.execute(select(balances))}
        assert {key: each for key, each in kept.items() if each} == {
            key: each for key, each in memory.balances.items() if each
        }
    verdict = verdict_of(town.database)
    assert verdict.line.startswith("whole"), verdict.faults
    assert verdict.records == len(day)


def _heads(tills: list[Till], last: dict[str, Any]) -> list[tuple[Till, int | None]]:
    return [
        (till, last[till.terminal].upto_seq if till.terminal in last else None) for till in tills
    ]


@pytest.fixture
def till(town: Town) -> Till:
    town.add_members("ann")
    return town.add_till("t-0001")


def test_a_new_ledger_goes_on_where_the_old_one_stopped(
    town: Town, ledger: Ledger, till: Till
) -> None:
    batches = [till.batch(till.open()), *(till.batch(till.top_up("ann", 100)) for _ in range(4))]
    ledger.ingest(batches[:3])
    again = Ledger(town.database, CURRENCY, lambda: MORNING_MS)
    made = again.ingest(batches[1:])
    assert made.made[0].duplicates == 2
    assert fold_of(town.database, "ann").principal == 400


def test_a_fork_keeps_both_sides_and_stops_the_terminal(
    town: Town, ledger: Ledger, till: Till
) -> None:
    ledger.ingest([till.batch(till.open())])
    here = till.head
    first = till.top_up("ann", 5_000)
    ledger.ingest([till.batch(first)])
    till.head = here
    other = till.top_up("ann", 7_000)
    for _ in range(2):
        (mark,) = ledger.ingest([till.batch(other)]).watermarks
        assert mark.standing is Standing.FORKED
        assert (mark.upto_seq, mark.head_hash) == (2, first.hash)
    with town.database.read() as connection:
        apart = quarantined(connection)
        assert fleet.terminal(connection, "t-0001").standing is Standing.FORKED
    assert {(row.hash, row.reason) for row in apart} == {
        (first.hash, "fork"),
        (other.hash, "fork"),
    }
    assert fold_of(town.database, "ann").principal == 5_000
    assert verdict_of(town.database).wrong == 0


def test_a_thief_with_a_key_does_not_fill_the_quarantine(
    town: Town, ledger: Ledger, till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chains, "FORKS_KEPT", 3)
    ledger.ingest([till.batch(till.open())])
    here = till.head
    ledger.ingest([till.batch(till.top_up("ann", 1))])
    for amount in range(2, 12):
        till.head = here
        made = ledger.ingest([till.batch(till.top_up("ann", amount))])
        assert [refusal.reason for refusal in made.refusals] == ["fork"]
    with town.database.read() as connection:
        assert len(quarantined(connection)) == 3


def test_a_transaction_id_is_used_once(town: Town, ledger: Ledger, till: Till) -> None:
    """After its void an id would count in one fold and not in the other: honest ones would fail."""
    late = till.open(), till.sale("ann")
    other = town.add_till("t-0002")
    other.at_ms = till.at_ms + HOUR_MS
    up = other.record(Kind.EPOCH_OPEN), other.top_up("ann", 100)
    void = other.void("ann", up[1].record.tid)
    again = [other.top_up("ann", 100, tid=up[1].record.tid) for _ in range(2)]
    ledger.ingest([other.batch(*up, void, again[0])])
    (mark,) = ledger.ingest([other.batch(again[1])]).watermarks
    assert mark.quarantined == ((4, "tid_used"), (5, "tid_used"))
    (mark,) = ledger.ingest([till.batch(*late)]).watermarks
    assert mark.quarantined == ()
    assert fold_of(town.database, "ann").overdraft == 300


def test_no_state_is_more_than_a_terminal_can_read(town: Town, ledger: Ledger, till: Till) -> None:
    with town.database.write() as connection:
        connection.execute(update(states).values(principal=STATE_MAX - 10))
    cash = Tender("cash", AMOUNT_MAX)
    records = (
        *(till.open(), till.top_up("ann", 10), till.top_up("ann", 1)),
        till.top_up("ann", 1, tenders=(cash, cash)),
    )
    (mark,) = ledger.ingest([till.batch(*records)]).watermarks
    assert mark.quarantined == ((3, "account_full"), (4, "amount_too_large"))
    assert fold_of(town.database, "ann").principal == STATE_MAX


def test_what_is_kept_apart_is_named_in_every_watermark(
    town: Town, ledger: Ledger, till: Till
) -> None:
    ledger.ingest([till.batch(till.open(), till.top_up("nobody", 5), till.top_up("ann", 7))])
    (mark,) = ledger.ingest([till.batch(till.top_up("ann", 9))]).watermarks
    assert mark.quarantined == ((2, "unknown_card"),)
    assert mark.upto_seq == 4
    assert fold_of(town.database, "ann").principal == 16
    with town.database.read() as connection:
        found = proof(connection, "t-0001", 1, 2)
        assert (found.state, found.reason, found.linked, found.signed) == (
            "quarantined",
            "unknown_card",
            True,
            True,
        )


def a_till_of_full_books(town: Town) -> Till:
    """Its site's cash is more than a column holds soon, which no check of a record can see."""
    till = town.add_till("t-0002", site="site-2")
    with town.database.write() as connection:
        full = {"account": "cash:cash:site-2", "unit": CURRENCY, "amount": (1 << 63) - 1}
        connection.execute(insert(balances).values(full))
    return till


def test_a_record_that_the_database_cannot_take_is_kept_apart_alone(
    town: Town, ledger: Ledger, till: Till
) -> None:
    town.add_members("bob")
    other = a_till_of_full_books(town)
    bad = other.batch(other.open(), other.top_up("bob", 100), other.sale("bob"))
    made = ledger.ingest([till.batch(till.open()), bad, till.batch(till.top_up("ann", 100))])
    assert made.refusals == ()
    marks = {mark.terminal: mark for mark in made.watermarks}
    assert marks["t-0002"].quarantined == ((2, "internal"),)
    assert [marks[name].upto_seq for name in ("t-0001", "t-0002")] == [2, 3]
    assert fold_of(town.database, "ann").principal == 100
    assert fold_of(town.database, "bob").overdraft == 300
    assert verdict_of(town.database).wrong == 1  # the balance of a_till_of_full_books


def test_records_that_the_database_cannot_take_hold_nobody_up(town: Town, ledger: Ledger) -> None:
    town.add_members("ann")
    other = a_till_of_full_books(town)
    ledger.ingest([other.batch(other.open())])
    bad = other.batch(other.top_up("ann", 60), other.top_up("ann", 70))
    behind = other.batch(other.sale("ann"))
    ledger.ingest([behind])
    (mark,) = ledger.ingest([bad]).watermarks
    assert mark.quarantined == ((2, "internal"), (3, "internal"))
    assert mark.upto_seq == 3
    (mark,) = ledger.ingest([behind]).watermarks
    assert mark.upto_seq == 4
    assert verdict_of(town.database).wrong == 1  # the balance of a_till_of_full_books


def test_nothing_is_half_written(town: Town, ledger: Ledger, till: Till) -> None:
    with pytest.raises(ZeroDivisionError):
        _tear(town.database)
    assert fold_of(town.database, "ann").principal == 0
    assert ledger.ingest([till.batch(till.open())]).watermarks[0].upto_seq == 1


def _tear(database: Database) -> float:
    with database.write() as connection:
        connection.execute(update(states).values(principal=1))
        return 1 / 0


@pytest.mark.postgres
def test_a_database_that_is_away_commits_nothing_and_comes_back(
    postgres: Any, postgres_town: Town
) -> None:
    till, database = postgres_town.add_till("t-0001"), postgres_town.database
    ledger = Ledger(database, CURRENCY, lambda: MORNING_MS)
    ledger.ingest([till.batch(till.open())])
    batch: Batch = till.batch(till.top_up("ann", 100))
    postgres.kill()
    with pytest.raises(StorageDown):
        ledger.ingest([batch])
    postgres.start()
    assert ledger.ingest([batch]).watermarks[0].upto_seq == 2
    assert fold_of(database, "ann").principal == 100
    assert verdict_of(database).wrong == 0


@pytest.mark.postgres
def test_a_database_that_dies_in_the_middle_takes_everything_back(
    postgres: Any, postgres_town: Town
) -> None:
    database = postgres_town.database
    with pytest.raises(StorageDown), unit_of_work(database) as unit:  # noqa: PT012
        unit.accounts([bytes(16)])
        postgres.kill()
        unit.accounts([bytes(16)])
    postgres.start()
    assert fold_of(database, "ann").principal == 0
    with database.write() as connection:
        members.add_member(connection, "bob", "Bob", MORNING_MS)


def test_the_statement_says_what_each_record_did(town: Town, ledger: Ledger, till: Till) -> None:
    ledger.ingest([till.batch(till.open(), till.top_up("ann", 1_000), till.sale("ann"))])
    with town.database.read() as connection:
        lines = statement(connection, "ann")
    assert [(line.kind, line.value, line.points) for line in lines] == [
        (Kind.SALE, -300, 3),
        (Kind.TOP_UP, 1_000, 0),
    ]


PLANTED = {
    "an amount": (update(entries).where(entries.c.line == 0).values(amount=entries.c.amount + 1)),
    "an account": (
        update(entries).where(entries.c.account == "principal:ann").values(account="principal:bob")
    ),
    "a balance": update(balances).values(amount=balances.c.amount + 1),
    "a state": update(states).values(points=states.c.points + 1),
    "a record": update(records).where(records.c.kind == int(Kind.SALE)).values(data=b"\xd2"),
    "a hash": update(records).where(records.c.kind == int(Kind.SALE)).values(hash=bytes(32)),
    "a member": (update(records).where(records.c.kind == int(Kind.SALE)).values(member="bob")),
    "a missing record": records.delete().where(records.c.kind == int(Kind.TOP_UP)),
    "a head": update(epochs).values(upto_seq=epochs.c.upto_seq + 1),
    "a key": update(epochs).values(
        public_key=bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    ),
}


@pytest.mark.parametrize("what", PLANTED)
def test_verify_finds_what_somebody_changed(
    town: Town, ledger: Ledger, till: Till, what: str
) -> None:
    town.add_members("bob")
    ledger.ingest([till.batch(till.open(), till.top_up("ann", 1_000), till.sale("ann"))])
    assert verdict_of(town.database).wrong == 0
    with town.database.write() as connection:
        connection.execute(PLANTED[what])
    verdict = verdict_of(town.database)
    assert verdict.wrong
    assert verdict.faults
    assert "FAULT" in verdict.line
