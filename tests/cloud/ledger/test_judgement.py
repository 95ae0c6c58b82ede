"""What is kept apart is booked when a person takes it, once, and only if nothing else forbids."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update

from cloud.errors import NotAcceptable, NotKeptApart, UnknownRecord
from cloud.fleet import store as fleet
from cloud.ledger.figures import figures
from cloud.ledger.judgement import take
from cloud.ledger.proof import Proof, proof
from cloud.ledger.statement import statement
from cloud.ledger.transaction import Ledger
from cloud.members import store as members
from cloud.storage.rows import NOTED, POSTED, QUARANTINED, Settlement
from cloud.storage.schema import balances, quarantine, records, states, terminals
from protocol.record import Kind, Line, Tender
from tests.cloud.ledger.books import fold_of, verdict_of
from tests.cloud.town import CURRENCY, MORNING_MS, Till, Town, card_of, issued_card

JUDGED = Settlement(MORNING_MS + 60_000, "operator-1", "the till was found")


def taken(town: Town, seq: int, terminal: str = "t-0001") -> Proof:
    with town.database.write() as connection:
        return take(connection, CURRENCY, terminal, 1, seq, JUDGED)


def shown(town: Town, seq: int, terminal: str = "t-0001") -> Proof:
    with town.database.read() as connection:
        return proof(connection, terminal, 1, seq)


def revoke(town: Town, till: Till) -> None:
    with town.database.write() as connection:
        fleet.revoke(connection, till.terminal, till.at_ms)


def version_of(town: Town) -> int:
    with town.database.read() as connection:
        return int(connection.execute(select(states.c.list_version)).scalar_one())


def rows(town: Town) -> Any:
    """All that a refused judgement must leave alone."""
    tables = (records, quarantine, states, balances, terminals)
    with town.database.read() as connection:
        return [connection.execute(select(table)).all() for table in tables]


def test_what_a_revoked_terminal_had_taken_is_booked(
    town: Town, ledger: Ledger, till: Till
) -> None:
    revoke(town, till)
    sale, top_up = till.sale("ann"), till.top_up("ann", 1_000)
    ledger.ingest([till.batch(sale, top_up)])
    version = version_of(town)
    with town.database.read() as connection:
        heard_ms = fleet.terminal(connection, "t-0001").heard_ms
        assert figures(connection).quarantined == 1

    found = taken(town, 3)
    assert (found.state, found.reason, found.member) == (POSTED, "", "ann")
    assert found.apart is not None
    assert (found.apart.reason, found.apart[-3:]) == ("revoked", JUDGED)
    assert {entry.account: entry.amount for entry in found.entries} == {
        "cash:cash:site-1": 1_000,
        "principal:ann": -700,
        "overdraft:ann": -300,
    }
    assert found.received_ms == MORNING_MS
    assert fold_of(town.database, "ann").principal == 700
    assert version_of(town) > version
    with town.database.read() as connection:
        assert figures(connection).quarantined == 0
        known = fleet.terminal(connection, "t-0001")
        assert (known.quarantined, known.heard_ms) == (0, heard_ms)
        assert [line.kind for line in statement(connection, "ann")] == [Kind.TOP_UP, Kind.SALE]
    assert verdict_of(town.database).wrong == 0

    (mark,) = ledger.ingest([till.batch(till.sale("ann"))]).watermarks
    assert (mark.upto_seq, mark.quarantined) == (4, ())


def test_a_record_is_taken_once(town: Town, ledger: Ledger, till: Till) -> None:
    revoke(town, till)
    ledger.ingest([till.batch(till.top_up("ann", 7), till.top_up("ann", 8))])
    taken(town, 2)
    before = rows(town)
    with pytest.raises(NotKeptApart):
        taken(town, 2)
    with pytest.raises(NotKeptApart):
        taken(town, 1)
    with pytest.raises(UnknownRecord):
        taken(town, 4)
    assert rows(town) == before
    assert shown(town, 3).reason == "revoked"
    with town.database.read() as connection:
        assert fleet.terminal(connection, "t-0001").quarantined == 1
    (mark,) = ledger.ingest([till.batch(till.sale("ann"))]).watermarks
    assert mark.quarantined == ((3, "revoked"),)


def test_a_card_that_is_issued_later_opens_the_way(town: Town, ledger: Ledger, till: Till) -> None:
    ledger.ingest([till.batch(till.top_up("bob", 7))])
    before = rows(town)
    with pytest.raises(NotAcceptable, match="unknown_card"):
        taken(town, 2)
    assert rows(town) == before
    with town.database.write() as connection:
        members.add_member(connection, "bob", "Bob", MORNING_MS)
        members.add_card(connection, issued_card("bob"))
    assert taken(town, 2).member == "bob"
    assert fold_of(town.database, "bob").principal == 7
    assert verdict_of(town.database).wrong == 0


def test_a_record_at_which_the_ledger_failed_is_read_again(
    town: Town, ledger: Ledger, till: Till
) -> None:
    top_up = till.top_up("ann", 7)
    at = till.batch(top_up, till.record(Kind.DECLINE))
    ledger.ingest([at._replace(apart=(0, 1))])
    kept = {"kind": 0, "tid": b"", "occurred_ms": 0, "member": None, "state": QUARANTINED}
    with town.database.read() as connection:
        for row in connection.execute(select(records).where(records.c.kind == 0)):
            assert kept.items() <= row._asdict().items()
    assert taken(town, 2).state == POSTED
    assert taken(town, 3).state == NOTED
    with town.database.read() as connection:
        tid = records.c.tid == top_up.record.tid
        row = connection.execute(select(records).where(tid)).one()
    assert (row.kind, row.member) == (Kind.TOP_UP, "ann")
    assert row.occurred_ms == top_up.record.moment.wall_ms
    assert row.data == top_up.data
    assert verdict_of(town.database).wrong == 0


def test_a_void_that_is_taken_late_corrects_what_was_derived(
    town: Town, ledger: Ledger, till: Till
) -> None:
    top_up = till.top_up("ann", 500)
    ledger.ingest([till.batch(top_up)])
    revoke(town, till)
    ledger.ingest([till.batch(till.void("ann", top_up.record.tid))])
    assert fold_of(town.database, "ann").principal == 500
    taken(town, 3)
    assert fold_of(town.database, "ann").principal == 0
    assert verdict_of(town.database).wrong == 0


def test_a_price_that_was_too_high_is_still_one(town: Town, ledger: Ledger, till: Till) -> None:
    revoke(town, till)
    lines = (Line("p-0", 1, 300, 350),)
    ledger.ingest([till.batch(till.sale("ann", lines=lines, tenders=(Tender("cash", 350),)))])
    assert shown(town, 2).reason == "revoked"
    found = taken(town, 2)
    assert (found.audit, found.gap, found.given_back) == ("price_differs", 50, 0)
    drawn = till.sale("ann", lines=lines, tenders=(Tender("stored_value", 350),))
    ledger.ingest([till.batch(drawn)])
    assert taken(town, 3).given_back == 50
    assert fold_of(town.database, "ann").overdraft == 300
    assert verdict_of(town.database).wrong == 0


def test_what_else_speaks_against_a_record_stays(town: Town, ledger: Ledger, till: Till) -> None:
    first = till.top_up("ann", 500)
    ledger.ingest([till.batch(first)])
    revoke(town, till)
    twice = till.top_up("ann", 500, tid=first.record.tid)
    odd = till.record(Kind.TOP_UP, card=card_of("ann"), tenders=(Tender("stored_value", 5),))
    other = till.record(Kind.REFUND, card=card_of("ann"))
    ledger.ingest([till.batch(twice, odd, other)])
    before = rows(town)
    for seq, reason in ((3, "tid_used"), (4, "unbalanced"), (5, "kind_unsupported")):
        with pytest.raises(NotAcceptable, match=reason):
            taken(town, seq)
    assert rows(town) == before


def test_neither_side_of_a_fork_is_taken(town: Town, ledger: Ledger, till: Till) -> None:
    here = till.head
    ledger.ingest([till.batch(till.top_up("ann", 5))])
    till.head = here
    ledger.ingest([till.batch(till.top_up("ann", 7))])
    with pytest.raises(NotKeptApart):
        taken(town, 2)
    assert fold_of(town.database, "ann").principal == 5


def test_a_full_account_takes_it_when_there_is_room(town: Town, ledger: Ledger, till: Till) -> None:
    with town.database.write() as connection:
        connection.execute(update(states).values(principal=(1 << 53) - 1))
    ledger.ingest([till.batch(till.top_up("ann", 7))])
    with pytest.raises(NotAcceptable, match="account_full"):
        taken(town, 2)
    with town.database.write() as connection:
        connection.execute(update(states).values(principal=0))
    assert taken(town, 2).state == POSTED
    assert verdict_of(town.database).wrong == 0
