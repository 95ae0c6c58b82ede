"""The receipts that are, or were, to be printed, on disk: no original leaves it twice.

What stands on a receipt is receipt's, who may ask for one receipts', printing the supervisor's.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from drivers.printers.document import Receipt
from drivers.printers.job import Job, JobEvent, JobState, step
from edge.database import open_replaceable
from edge.errors import ReceiptsRefused
from edge.pending import Place

# Who asked for a receipt that late has left, and a day's pile would come out of a mended printer.
WAITS_MS = 10 * 60_000

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Receipt).decode
_LATE = "state = 'queued' AND asked_ms < ?"


class PrintQueue:
    """Implements drivers.print_supervisor.PrintQueue; any thread. Raises ReceiptsRefused.

    ``head`` is the journal's; ``wall_ms`` a wall clock. A broken file is begun anew: what was
    booked before may be on paper, so it is printed as a copy. A terminal sells without a printer:
    while the file cannot be opened, every call is refused at once, but ``doubt`` tries again.
    """

    def __init__(self, path: Path, head: Place, wall_ms: Callable[[], int]) -> None:
        self._path, self._head = path, head
        self._wall_ms, self._lock = wall_ms, threading.RLock()
        self._connection: sqlite3.Connection | None = None
        with suppress(ReceiptsRefused):  # the printer's thread hears it, and tells of it
            self._open()

    def close(self) -> None:
        """Let go of the file; never raises."""
        with self._lock, suppress(sqlite3.Error):
            if self._connection is not None:
                self._connection.close()

    def ask(self, place: Place, receipt: Receipt) -> Job:
        """Have the receipt of the record at ``place`` printed; one that waits is not asked twice.

        One that may be on paper becomes the next copy.
        """
        with self._lock:
            before = self.known(receipt.number)
            job = step(before, JobEvent.ASKED_AGAIN) if before else self._first(place, receipt)
            if job != before:
                row = (*place, job.number, job.state, job.copy, self._wall_ms(), _encode(receipt))
                self._run("INSERT OR REPLACE INTO prints VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            return job

    def known(self, number: str) -> Job | None:
        """Return the print of a receipt, None when nobody asked, or it waited WAITS_MS in vain."""
        rows = self._run("SELECT number, state, copy FROM prints WHERE number = ?", (number,))
        return _job(*rows[0]) if rows else None

    def doubt(self) -> None:
        """See drivers.print_supervisor.PrintQueue; in the printer's thread, which can wait."""
        if self._connection is None:
            self._open()
        self._run("UPDATE prints SET state = 'unknown' WHERE state = 'printing'")

    def next(self) -> tuple[Job, Receipt] | None:
        """See drivers.print_supervisor.PrintQueue; what waited WAITS_MS is not printed any more.

        An original that never came out is forgotten, so that it can be asked for; a copy is not.
        """
        late_ms = (self._wall_ms() - WAITS_MS,)
        with self._lock:
            self._run(f"UPDATE prints SET state = 'unknown' WHERE copy > 0 AND {_LATE}", late_ms)  # noqa: S608 - our own words
            self._run(f"DELETE FROM prints WHERE {_LATE}", late_ms)  # noqa: S608 - our own words
            rows = self._run(
                "SELECT number, state, copy, receipt FROM prints WHERE state = 'queued'"
                " ORDER BY asked_ms, epoch, seq LIMIT 1"
            )
        return (_job(*rows[0][:3]), _decode(rows[0][3])) if rows else None

    def keep(self, job: Job) -> None:
        """See drivers.print_supervisor.PrintQueue."""
        self._run(
            "UPDATE prints SET state = ?, copy = ? WHERE number = ?",
            (job.state, job.copy, job.number),
        )

    def forget(self, oldest: Place) -> None:
        """Drop the prints of records that the journal, whose oldest is named, has dropped."""
        self._run("DELETE FROM prints WHERE (epoch, seq) < (?, ?)", oldest)

    def _first(self, place: Place, receipt: Receipt) -> Job:
        begun = Place(*self._run("SELECT epoch, seq FROM begun")[0])
        return Job(receipt.number, copy=int(place <= begun))

    def _run(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock:
            if self._connection is None:
                raise ReceiptsRefused(f"{self._path} cannot be opened")
            try:
                return self._connection.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                raise ReceiptsRefused(str(error)) from error

    def _open(self) -> None:
        """Open the file, and have it know from where on nothing can be on paper."""
        begin = "INSERT INTO begun SELECT ?, ? WHERE NOT EXISTS (SELECT * FROM begun)"
        try:
            connection = open_replaceable(self._path, "receipts")
            try:
                connection.execute(begin, self._head)
            except sqlite3.Error:
                connection.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise ReceiptsRefused(f"{self._path}: {error}") from error
        self._connection = connection


def _job(number: str, state: str, copy: int) -> Job:
    return Job(number, JobState(state), copy)
