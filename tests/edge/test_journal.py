"""The journal: chained, durable when it says so, read back whole, and nobody else's."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from msgspec import structs

from edge.errors import JournalBroken, JournalForeign, JournalRefused
from edge.inspection import stats, verify
from edge.journal import PRUNE_ROWS, RETENTION_MS, TAIL_RECORDS, Identity, Journal
from protocol.chain import extend
from protocol.grant import opening_head
from protocol.record import BundleRef, Kind, Record, read
from tests.edge.world import AT, START_MS, granted, owner
from tests.protocol.world import sale


def open_journal(folder: Path, identity: Identity | None = None) -> Journal:
    """The journal in ``folder``."""
    return Journal(folder / "journal.db", identity or owner())


def next_sale(journal: Journal, order: str = "", wall_ms: int = START_MS) -> Record:
    """A sale that follows the head; each has a number of its own."""
    record = sale(journal.head)
    moment = structs.replace(record.moment, wall_ms=wall_ms)
    return structs.replace(record, order=order, moment=moment)


def fill(journal: Journal, count: int, wall_ms: int = START_MS) -> None:
    """Append so many sales."""
    for _ in range(count):
        journal.append(next_sale(journal, wall_ms=wall_ms))


def test_a_new_journal_begins_at_its_grant(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    assert journal.head == opening_head(1, granted())
    assert (journal.acked_seq, journal.watermark, journal.newest()) == (0, None, None)
    assert journal.hash_at(0) == journal.head.hash
    journal.close()


def test_what_was_appended_is_there_after_opening_again(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    sealed = [
        journal.append(next_sale(journal, f"o{n}"), b"answer %d" % n, b"order %d" % n)
        for n in range(3)
    ]
    journal.close()
    again = open_journal(tmp_path)
    assert again.read(1, 50) == [each.data for each in sealed]
    assert extend(opening_head(1, granted()), sealed) == again.head
    booked = again.by_order("o1")
    assert booked == (sealed[1].record, b"answer 1", b"order 1", sealed[1].hash)
    assert again.by_order("o9") is None
    assert again.oldest() == (1, 1)
    assert again.find(sealed[2].record.tid) == sealed[2].record
    assert again.hash_at(2) == sealed[1].hash
    assert again.hash_at(4) is None
    assert [record.seq for record in again.since(1, 1)] == [2, 3]
    again.close()


@pytest.mark.parametrize("count", [TAIL_RECORDS - 1, TAIL_RECORDS, TAIL_RECORDS + 7])
def test_a_backlog_longer_than_the_tail_is_opened(tmp_path: Path, count: int) -> None:
    journal = open_journal(tmp_path)
    fill(journal, count)
    head = journal.head
    journal.close()
    again = open_journal(tmp_path)
    assert again.head == head
    again.close()


def test_only_the_record_behind_the_head_is_taken(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    record = next_sale(journal)
    for wrong in (
        structs.replace(record, seq=2),
        structs.replace(record, prev=bytes(32)),
        structs.replace(record, epoch=2),
    ):
        with pytest.raises(ValueError, match="follow"):
            journal.append(wrong)
    assert journal.append(record).record.seq == 1
    journal.close()


def test_an_order_is_booked_once(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    journal.append(next_sale(journal, "o1"))
    with pytest.raises(JournalRefused):
        journal.append(next_sale(journal, "o1"))
    journal.reopen()
    assert journal.head.seq == 1
    journal.close()


def test_after_a_refusal_nothing_is_trusted_until_it_was_read_again(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    journal.append(next_sale(journal, "o1"))
    with pytest.raises(JournalRefused):
        journal.append(next_sale(journal, "o1"))
    with pytest.raises(JournalRefused):
        journal.read(1, 1)
    with pytest.raises(JournalRefused):
        journal.append(next_sale(journal))
    journal.reopen()
    assert journal.append(next_sale(journal)).record.seq == 2
    journal.close()


def test_a_disk_that_cannot_be_opened_refuses(tmp_path: Path) -> None:
    (tmp_path / "journal.db").mkdir()
    with pytest.raises(JournalRefused):
        open_journal(tmp_path)


def test_a_file_that_is_no_database_is_broken(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"not a database, " * 100)
    with pytest.raises(JournalBroken):
        open_journal(tmp_path)


@pytest.mark.parametrize("count", [1, 3, TAIL_RECORDS, TAIL_RECORDS + 7])
def test_a_changed_record_in_the_tail_is_found_at_the_start(tmp_path: Path, count: int) -> None:
    journal = open_journal(tmp_path)
    fill(journal, count)
    data = bytearray(journal.read(count, 1)[0])
    journal.close()
    data[-1] ^= 1
    with sqlite3.connect(tmp_path / "journal.db") as database:
        database.execute("UPDATE records SET data = ? WHERE seq = ?", (bytes(data), count))
    database.close()
    with pytest.raises(JournalBroken):
        open_journal(tmp_path)


def test_a_missing_record_in_the_tail_is_found_at_the_start(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    fill(journal, 10)
    journal.close()
    with sqlite3.connect(tmp_path / "journal.db") as database:
        database.execute("DELETE FROM records WHERE seq = 7")
    database.close()
    with pytest.raises(JournalBroken):
        open_journal(tmp_path)


def test_a_journal_of_another_terminal_or_grant_is_foreign(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    fill(journal, 2)
    journal.close()
    other = owner()._replace(grant=granted(1, "t-0002"))
    with pytest.raises(JournalForeign):
        open_journal(tmp_path, other)
    with pytest.raises(JournalForeign):
        open_journal(tmp_path, owner()._replace(terminal="t-0002"))
    later = open_journal(tmp_path, owner(2))
    later.close()
    with pytest.raises(JournalForeign):
        open_journal(tmp_path)


def test_a_new_epoch_begins_behind_the_old_one(tmp_path: Path) -> None:
    old = open_journal(tmp_path)
    fill(old, 3)
    old.close()
    new = open_journal(tmp_path, owner(2))
    assert new.head == opening_head(2, granted(2))
    new.append(next_sale(new))
    assert [(record.epoch, record.seq) for record in new.since(1, 2)] == [(1, 3), (2, 1)]
    assert (new.sending, len(new.read(1, 50)), new.waiting()) == (1, 3, 1), "the old one first"
    new.acknowledge(3, b"")
    new.send_next()
    assert (new.sending, len(new.read(1, 50)), new.waiting()) == (2, 1, 0)
    new.close()
    again = open_journal(tmp_path, owner(2))
    assert (again.sending, again.acked_seq, again.sending_seq) == (2, 0, 1)
    new.close()


def test_a_watermark_is_kept(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    fill(journal, 5)
    assert journal.oldest_waiting_ms() == START_MS
    journal.acknowledge(5, b"signed")
    assert journal.oldest_waiting_ms() == 0
    journal.close()
    again = open_journal(tmp_path)
    assert (again.acked_seq, again.watermark) == (5, b"signed")
    again.close()


def test_only_old_records_that_the_ledger_has_are_pruned(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    fill(journal, 4, START_MS)
    fill(journal, 4, START_MS + 10)
    later = START_MS + RETENTION_MS + 5
    assert journal.prune(later) == 0, "the ledger has none of them"
    journal.acknowledge(3, b"")
    assert journal.prune(later) == 2, "the one at the watermark stays"
    journal.acknowledge(8, b"")
    assert journal.prune(later) == 2, "the newer ones are not old enough"
    assert journal.prune(later) == 0
    assert journal.prune(later + 10) == 3
    journal.close()
    again = open_journal(tmp_path)
    assert (again.head.seq, again.hash_at(8)) == (8, again.head.hash)
    again.append(next_sale(again))
    again.close()


def test_what_the_ledger_refused_stays_and_holds_up_no_pruning(tmp_path: Path) -> None:
    old = open_journal(tmp_path)
    fill(old, 3 + PRUNE_ROWS + 20)
    old.acknowledge(3, b"")
    old.close()
    journal = open_journal(tmp_path, owner(2))
    fill(journal, PRUNE_ROWS + 50)
    journal.send_next()
    journal.acknowledge(journal.head.seq, b"")
    later = START_MS + RETENTION_MS + 1
    assert [journal.prune(later) for _ in range(4)] == [2, PRUNE_ROWS, 49, 0]
    kept = [(record.epoch, record.seq) for record in journal.since(0, 0)]
    assert kept == [*((1, seq) for seq in range(3, PRUNE_ROWS + 24)), (2, PRUNE_ROWS + 50)]
    journal.close()


def test_what_says_how_the_terminal_stands_is_never_pruned(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    marks = {"kind": Kind.BUNDLE_ON, "bundle": BundleRef(7, bytes(32))}
    journal.append(structs.replace(next_sale(journal), **marks))
    journal.append(structs.replace(next_sale(journal), kind=Kind.OPERATOR, reason="lock"))
    fill(journal, PRUNE_ROWS + 1)
    journal.acknowledge(journal.head.seq, b"")
    while journal.prune(START_MS + RETENTION_MS + 1):
        pass
    assert [record.reason for record in journal.commands()] == ["lock"]
    assert [record.bundle for record in journal.bundle_switches()] == [marks["bundle"]]
    assert journal.oldest_waiting_ms() == 0
    journal.close()
    assert open_journal(tmp_path).head.seq == PRUNE_ROWS + 3


def test_a_technician_looks_into_it_while_the_agent_writes(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    fill(journal, 4)
    journal.acknowledge(2, b"")
    path = tmp_path / "journal.db"
    assert verify(path, owner()) == f"{path}: 4 records of epoch 1 hold, head 4"
    assert stats(path).splitlines() == [
        "epoch  records  in the ledger",
        "    1        4  up to 2",
        "sale                 4",
    ]
    assert journal.append(next_sale(journal)).record.seq == 5
    journal.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE records SET hash = zeroblob(32) WHERE seq = 2",
        "UPDATE records SET tid = zeroblob(16) WHERE seq = 2",
        "DELETE FROM records WHERE seq = 2",
        "UPDATE records SET data = CAST(substr(data, 1, length(data) - 1) || x'00' AS BLOB)"
        " WHERE seq = 2",
    ],
)
def test_verify_finds_every_change(tmp_path: Path, change: str) -> None:
    journal = open_journal(tmp_path)
    fill(journal, 4)
    journal.close()
    with sqlite3.connect(tmp_path / "journal.db") as database:
        database.execute(change)
    database.close()
    with pytest.raises(JournalBroken, match=r"record 1/[23]"):
        verify(tmp_path / "journal.db", owner())


def test_there_is_nothing_to_look_into(tmp_path: Path) -> None:
    with pytest.raises(JournalForeign, match="no journal"):
        stats(tmp_path / "journal.db")


def test_rows_and_bytes_agree(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    journal.append(next_sale(journal, "o1"))
    journal.close()
    database = sqlite3.connect(tmp_path / "journal.db")
    row = database.execute(
        "SELECT epoch, seq, hash, tid, kind, order_id, wall_ms, data FROM records"
    ).fetchone()
    database.close()
    sealed, _ = read(row[-1])
    record = sealed.record
    assert record.terminal == AT.terminal
    assert row[:-1] == (
        record.epoch,
        record.seq,
        sealed.hash,
        record.tid,
        record.kind,
        record.order,
        record.moment.wall_ms,
    )
