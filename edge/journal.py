"""The terminal's life as a hash chain on disk: what is appended here survives everything.

One writer, one thread. What a record says is left to books, sending to relay.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import structs

from edge.database import open_database
from edge.errors import EdgeError, JournalBroken, JournalForeign, JournalRefused
from protocol.chain import Head, extend
from protocol.codec import decode_own, encode
from protocol.errors import ProtocolError
from protocol.grant import opening_head
from protocol.money import AMOUNT_MAX
from protocol.record import COUNT_MAX, PROOF_BYTES_MAX, Record, Sealed, read, seal
from protocol.signing import Purpose, SigningKey, VerifyingKey, split, verify

# A start reads this many of the newest records: one signature vouches for them all.
TAIL_RECORDS = 50
# What a shop may be asked about, and what a till may repeat: three months.
RETENTION_MS = 90 * 86_400_000
# Rows that one pruning step deletes, so that a tap in between waits a few milliseconds at most.
PRUNE_ROWS = 200
# Rows that are read at once where many are, so that memory does not grow with the backlog.
PIECE_ROWS = 500

_SEQ_BITS = 32
_INSERT_INTENT = "INSERT INTO intents (tid, reference, record, asked, data) VALUES (?, ?, ?, ?, ?)"
_INSERT = (
    "INSERT INTO records (id, hash, tid, kind, order_id, wall_ms, data, answer, asked)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class Identity(NamedTuple):
    """Whose journal it is: the terminal, its key, and the grant (signed bytes) for the epoch."""

    terminal: str
    epoch: int
    grant: bytes
    key: SigningKey
    verifier: VerifyingKey


class Booked(NamedTuple):
    """A record of the journal, with the answer that was given for it and the order it was asked."""

    record: Record
    answer: bytes | None
    asked: bytes | None
    hash: bytes


class Intent(NamedTuple):
    """A debit of a card's purse before it is known whether it happened.

    ``record`` is what will be signed once it did, up to its place, time and card; ``data`` the card
    family's; ``told`` whether a record says that it was torn.
    """

    record: Record
    asked: bytes | None
    data: bytes
    told: bool = False


class Journal:
    """Open journal of one terminal; made by the constructor, which also verifies its tail.

    Raises JournalRefused when the disk refuses, JournalBroken and JournalForeign for what is on it.
    After JournalRefused nothing is trusted any more until ``reopen`` has read it again.
    """

    head: Head
    sending: int  # the oldest epoch with records that the ledger does not have
    sending_seq: int  # the newest seq of it
    acked_seq: int  # how far the ledger has it
    watermark: bytes | None
    wall_ms: int  # of the newest records: time cannot be before it

    def __init__(self, path: Path, identity: Identity) -> None:
        self._path, self._identity = path, identity
        self._connection: sqlite3.Connection | None = None
        self._passed_over = 0  # the newest epoch that the ledger will never take
        self.reopen()

    def reopen(self) -> None:
        """Read everything again from the disk; see the class for what it raises."""
        self.close()
        try:
            self._connection = open_database(self._path, "journal")
            self._load()
        except EdgeError:
            self.close()
            raise
        except (sqlite3.OperationalError, OSError) as error:
            self.close()
            raise JournalRefused(f"{self._path}: {error}") from error
        except sqlite3.DatabaseError as error:
            self.close()
            raise JournalBroken(f"{self._path}: {error}") from error

    def close(self) -> None:
        """Let go of the file; never raises."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None

    def append(
        self,
        record: Record,
        answer: bytes | None = None,
        asked: bytes | None = None,
        *,
        tears: bytes | None = None,
        ends: bytes | None = None,
    ) -> Sealed:
        """Sign ``record``, which must follow ``head``, and return once it is durable.

        ``answer`` and ``asked`` (the order) are kept beside it, for who asks again. In the same
        transaction the intent ``tears`` is marked as told, and the intent ``ends`` deleted.
        """
        head = self.head
        if (record.epoch, record.seq, record.prev) != (head.epoch, head.seq + 1, head.hash):
            raise ValueError("the record does not follow the journal's head")
        sealed = seal(record, self._identity.key)
        place, wall_ms = self._id(record.seq), record.moment.wall_ms
        said = (record.order or None, wall_ms, sealed.data, answer, asked)
        row = (place, sealed.hash, record.tid, record.kind, *said)
        if tears is None and ends is None:
            self._run(_INSERT, row)
        else:
            self._run("BEGIN IMMEDIATE", ())
            self._run(_INSERT, row)
            self._run("UPDATE intents SET told = 1 WHERE tid = ?", (tears,))
            self._run("DELETE FROM intents WHERE tid = ?", (ends,))
            self._run("COMMIT", ())
        self.head = Head(record.epoch, record.seq, sealed.hash)
        if self.sending == record.epoch:
            self.sending_seq = record.seq
        self.wall_ms = max(self.wall_ms, wall_ms)
        return sealed

    def intend(self, intent: Intent) -> None:
        """Return once ``intent``, whose record has a card that no intent names, is durable.

        ProtocolError when its record could not be signed: after the debit it must be.
        """
        record = intent.record
        if record.card is None:
            raise ValueError("an intent is about a card")
        fullest = structs.replace(
            record.card, counter=COUNT_MAX, balance_after=AMOUNT_MAX, proof=bytes(PROOF_BYTES_MAX)
        )
        seal(structs.replace(record, card=fullest), self._identity.key)
        row = (record.tid, record.card.reference, encode(record), intent.asked, intent.data)
        self._run(_INSERT_INTENT, row)

    def intent_of(self, reference: bytes) -> Intent | None:
        """Return what a card was asked for and no record settles yet."""
        return next(self._intents("reference = ?", reference), None)

    def untold(self) -> tuple[Intent, ...]:
        """Return the intents of which no record says that they were torn."""
        return tuple(self._intents("told = ?", 0))

    def acknowledge(self, upto_seq: int, watermark: bytes) -> None:
        """Remember that the ledger has everything up to ``upto_seq``, and its signed word."""
        self._run(
            "UPDATE epochs SET upto_seq = ?, watermark = ? WHERE epoch = ?",
            (upto_seq, watermark, self.sending),
        )
        self.acked_seq, self.watermark = upto_seq, watermark

    def send_next(self) -> None:
        """Turn to the next epoch with records that the ledger does not have."""
        self._passed_over = self.sending
        self._load_sending()

    def watermarks(self) -> dict[int, bytes]:
        """Return the newest signed word of each epoch of which there is one."""
        rows = self._run("SELECT epoch, watermark FROM epochs WHERE watermark IS NOT NULL", ())
        return dict(rows)

    def waiting(self) -> int:
        """Count the records of the epochs behind ``sending`` that the ledger does not have."""
        rows = self._run(
            "SELECT count(*) FROM records JOIN epochs USING (epoch)"
            " WHERE id >= ? AND seq > upto_seq",
            (_place(self.sending + 1, 0),),
        )
        count: int = rows[0][0]
        return count

    def read(self, first: int, count: int) -> list[bytes]:
        """Return up to ``count`` records of ``sending`` from seq ``first`` on, as signed bytes."""
        rows = self._run(
            "SELECT data FROM records WHERE id BETWEEN ? AND ? ORDER BY id",
            (
                _place(self.sending, first),
                _place(self.sending, min(first + count - 1, self.sending_seq)),
            ),
        )
        return [data for (data,) in rows]

    def hash_at(self, seq: int) -> bytes | None:
        """Return the hash of record ``seq`` of ``sending``, of its grant for 0, None without."""
        if seq == 0:
            grants = self._run("SELECT grant_data FROM epochs WHERE epoch = ?", (self.sending,))
            return opening_head(self.sending, grants[0][0]).hash
        rows = self._run("SELECT hash FROM records WHERE id = ?", (_place(self.sending, seq),))
        return rows[0][0] if rows else None

    def by_order(self, order: str) -> Booked | None:
        """Return what was booked under a till's order id."""
        return self._booked("order_id = ?", order)

    def newest(self) -> Booked | None:
        """Return the newest record of this epoch."""
        return self._booked("id = ?", self._id(self.head.seq))

    def oldest(self) -> tuple[int, int]:
        """Return epoch and seq of the oldest record that is kept."""
        rows = self._run("SELECT epoch, seq FROM records ORDER BY id LIMIT 1", ())
        return rows[0] if rows else (self.head.epoch, self.head.seq)

    def find(self, tid: bytes) -> Record | None:
        """Return the record with this number."""
        rows = self._run("SELECT data FROM records WHERE tid = ?", (tid,))
        return read(rows[0][0])[0].record if rows else None

    def voids(self) -> Iterator[Record]:
        """Yield the voids, newest first."""
        return self._kept("SELECT data FROM records WHERE kind = 3 ORDER BY id DESC")

    def bundle_switches(self) -> Iterator[Record]:
        """Yield the BUNDLE_ON records, newest first."""
        return self._kept("SELECT data FROM records WHERE kind = 12 ORDER BY id DESC")

    def commands(self) -> Iterator[Record]:
        """Yield the OPERATOR records, newest first."""
        return self._kept("SELECT data FROM records WHERE kind = 15 ORDER BY id DESC")

    def since(self, epoch: int, seq: int) -> Iterator[Record]:
        """Yield all records behind (epoch, seq), in their order, reading them in pieces.

        A start reads a whole backlog so: it takes the records for what they were when written.
        """
        place = _place(epoch, seq)
        while True:
            rows = self._run(
                "SELECT id, data FROM records WHERE id > ? ORDER BY id LIMIT ?",
                (place, PIECE_ROWS),
            )
            for place, data in rows:  # noqa: B007 - the last one is where the next piece begins
                yield decode_own(split(data).payload, Record)
            if len(rows) < PIECE_ROWS:
                return

    def oldest_waiting_ms(self) -> int:
        """Wall clock of the oldest record that the ledger does not have, 0 when there is none."""
        rows = self._run(
            "SELECT wall_ms FROM records WHERE id = ?",
            (_place(self.sending, self.acked_seq + 1),),
        )
        return rows[0][0] if rows else 0

    def prune(self, now_ms: int) -> int:
        """Delete some old records that the ledger has; return how many.

        The one at the watermark stays: the next watermark is compared with our history. So do
        the few that say which bundle is in force and whether the terminal is locked. Of an epoch
        the oldest rows are looked at, and no others: what the ledger refused is not among them.
        """
        for epoch, upto_seq in self._run("SELECT epoch, upto_seq FROM epochs ORDER BY epoch", ()):
            rows = self._run(
                "DELETE FROM records WHERE wall_ms < ? AND id IN"
                " (SELECT id FROM records WHERE id >= ? AND id < ? AND kind NOT IN (12, 15)"
                " ORDER BY id LIMIT ?) RETURNING id",
                (now_ms - RETENTION_MS, _place(epoch, 0), _place(epoch, upto_seq), PRUNE_ROWS),
            )
            if rows:
                return len(rows)
        return 0

    def _intents(self, condition: str, value: object) -> Iterator[Intent]:
        statement = f"SELECT record, asked, data, told FROM intents WHERE {condition}"  # noqa: S608 - our own words
        for record, asked, data, told in self._run(statement, (value,)):
            yield Intent(decode_own(record, Record), asked, data, bool(told))

    def _booked(self, condition: str, value: object) -> Booked | None:
        rows = self._run(f"SELECT data, answer, asked FROM records WHERE {condition}", (value,))  # noqa: S608 - our own words
        if not rows:
            return None
        data, answer, asked = rows[0]
        sealed = read(data)[0]
        return Booked(sealed.record, answer, asked, sealed.hash)

    def _kept(self, statement: str) -> Iterator[Record]:
        return (read(data)[0].record for (data,) in self._run(statement, ()))

    def _run(self, statement: str, values: Sequence[Any]) -> list[Any]:
        if self._connection is None:
            raise JournalRefused("waits to be read again")
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            self.close()
            raise JournalRefused(f"{self._path}: {error}") from error

    def _id(self, seq: int) -> int:
        return _place(self._identity.epoch, seq)

    def _load(self) -> None:
        """Take head, watermark and newest time from the disk; see that they are ours and whole."""
        identity = self._identity
        newest = self._run("SELECT max(epoch) FROM epochs", ())[0][0]
        if newest is None or newest < identity.epoch:
            self._run(
                "INSERT INTO epochs (epoch, grant_data) VALUES (?, ?)",
                (identity.epoch, identity.grant),
            )
        rows = self._run("SELECT * FROM epochs ORDER BY epoch DESC LIMIT 1", ())
        epoch, grant, acked_seq, _ = rows[0]
        if (epoch, grant) != (identity.epoch, identity.grant):
            raise JournalForeign(f"{self._path}: epoch {epoch}, the grant is for {identity.epoch}")
        self._load_tail(acked_seq)
        self._load_sending()

    def _load_sending(self) -> None:
        """Find the oldest epoch with records to send; the present one when there is none."""
        most = (1 << _SEQ_BITS) - 1
        rows = self._run(
            "SELECT epoch, upto_seq, watermark, (SELECT coalesce(max(id), 0) & ? FROM records"
            " WHERE id BETWEEN epochs.epoch << ? AND (epochs.epoch << ?) + ?) AS newest FROM epochs"
            " WHERE epoch = ? OR (epoch > ? AND upto_seq < newest) ORDER BY epoch LIMIT 1",
            (most, _SEQ_BITS, _SEQ_BITS, most, self._identity.epoch, self._passed_over),
        )
        self.sending, self.acked_seq, self.watermark, self.sending_seq = rows[0]

    def _load_tail(self, acked_seq: int) -> None:
        rows = self._run(
            "SELECT data FROM records WHERE id > ? ORDER BY id DESC LIMIT ?",
            (self._id(0), TAIL_RECORDS),
        )
        self.head = opening_head(self._identity.epoch, self._identity.grant)
        self.wall_ms = 0
        if not rows:
            return
        try:
            tail = [read(data) for (data,) in reversed(rows)]
            first = tail[0][0].record
            if first.terminal != self._identity.terminal:
                raise JournalForeign(f"{self._path}: of terminal {first.terminal}")
            if len(rows) == TAIL_RECORDS:
                self.head = Head(first.epoch, first.seq - 1, first.prev)
            verify(tail[-1][1], Purpose.RECORD, self._identity.verifier)
            for sealed, _ in tail:
                self.head = extend(rejoined(self.head, sealed, acked_seq), (sealed,))
        except ProtocolError as error:
            raise JournalBroken(f"{self._path}: {error}") from error
        self.wall_ms = max(sealed.record.moment.wall_ms for sealed, _ in tail)


def _place(epoch: int, seq: int) -> int:
    return (epoch << _SEQ_BITS) + seq


def rejoined(head: Head, sealed: Sealed, acked_seq: int) -> Head:
    """Return ``head``, or the one that ``sealed`` names if records before it may be pruned."""
    record = sealed.record
    if head.seq + 1 < record.seq <= acked_seq:
        return Head(record.epoch, record.seq - 1, record.prev)
    return head
