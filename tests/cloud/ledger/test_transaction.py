"""The same plans on both databases: what is committed is what the pure core decided."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from sqlalchemy import select, update

from cloud.errors import StorageDown, TerminalRevoked
from cloud.fleet import store as fleet
from cloud.ledger.chains import Batch
from cloud.ledger.proof import proof, quarantined
from cloud.ledger.statement import statement
from cloud.ledger.transaction import Ledger
from cloud.ledger.verify import Verdict, verify_ledger
from cloud.members import store as members
from cloud.storage.engine import Database, open_database
from cloud.storage.migration import migrate
from cloud.storage.schema import balances, entries, epochs, records, states
from cloud.storage.unit_of_work import unit_of_work
from protocol.record import Kind
from protocol.watermark import Standing
from tests.cloud.ledger.memory import Memory
from tests.cloud.ledger.test_ingest import deliveries, play
from tests.cloud.town import CURRENCY, MORNING_MS, Till, Town, build_town, make_bundle


def verdict_of(database: Database) -> Verdict:
    with database.read() as connection:
        return verify_ledger(connection, lambda _done, _of: None)


def fold_of(database: Database, member: str) -> Any:
    with database.read() as connection:
        return members.member(connection, member).state


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


def test_a_revoked_terminal_hands_in_its_journal(town: Town, ledger: Ledger, till: Till) -> None:
    with town.database.write() as connection:
        fleet.set_standing(connection, "t-0001", Standing.DRAIN_ONLY)
    (mark,) = ledger.ingest([till.batch(till.open(), till.top_up("ann", 100))]).watermarks
    assert (mark.standing, mark.upto_seq) == (Standing.DRAIN_ONLY, 2)
    assert fold_of(town.database, "ann").principal == 100


def test_a_fork_does_not_end_a_revocation(town: Town, ledger: Ledger, till: Till) -> None:
    ledger.ingest([till.batch(till.open())])
    here = till.head
    ledger.ingest([till.batch(till.top_up("ann", 100))])
    with town.database.write() as connection:
        fleet.set_standing(connection, "t-0001", Standing.DRAIN_ONLY)
    till.head = here
    (mark,) = ledger.ingest([till.batch(till.top_up("ann", 200))]).watermarks
    assert mark.standing is Standing.DRAIN_ONLY
    with pytest.raises(TerminalRevoked):
        town.add_till("t-0001", epoch=2)


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


def test_an_unforeseen_failure_leaves_out_its_batch_alone(
    town: Town, ledger: Ledger, till: Till
) -> None:
    """A state beyond what a column holds, which no check of a record can see."""
    town.add_members("rich")
    other = town.add_till("t-0002")
    with town.database.write() as connection:
        connection.execute(
            update(states).where(states.c.member == "rich").values(principal=(1 << 63) - 1)
        )
    bad = other.batch(other.open(), other.top_up("rich", 100))
    made = ledger.ingest([till.batch(till.open()), bad, till.batch(till.top_up("ann", 100))])
    assert [(each.terminal, each.reason) for each in made.refusals] == [("t-0002", "internal")]
    assert fold_of(town.database, "ann").principal == 100
    with town.database.read() as connection:
        assert fleet.terminal(connection, "t-0002").upto_seq == 0


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
def test_a_database_that_is_away_commits_nothing_and_comes_back(postgres: Any) -> None:
    database = open_database(postgres.new_database())
    migrate(database)
    town = build_town(database)
    town.add_members("ann")
    till = town.add_till("t-0001")
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
    database.close()


@pytest.mark.postgres
def test_a_database_that_dies_in_the_middle_takes_everything_back(postgres: Any) -> None:
    database = open_database(postgres.new_database())
    migrate(database)
    town = build_town(database)
    town.add_members("ann")
    with pytest.raises(StorageDown), unit_of_work(database) as unit:  # noqa: PT012
        unit.accounts([bytes(16)])
        postgres.kill()
        unit.accounts([bytes(16)])
    postgres.start()
    assert fold_of(database, "ann").principal == 0
    with database.write() as connection:
        members.add_member(connection, "bob", "Bob", MORNING_MS)
    database.close()


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
