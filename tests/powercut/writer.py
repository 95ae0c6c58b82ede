"""A program that keeps a terminal's journal and says ``ACK n`` when record n is safe.

    python -m tests.powercut.writer FOLDER RECORDS FULL|NORMAL|PURSE

With NORMAL the journal is opened as most advice has it, which the enumeration must find out. With
PURSE each record is one that a card's purse paid: ``ACK 2n - 1`` says that the card may be asked
for record n, and ``ACK 2n`` that the record is safe.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

from edge.journal import Identity, Intent, Journal
from tests.protocol.world import TERMINAL_KEY, sale

IDENTITY = Identity("t-0001", 1, b"a grant", TERMINAL_KEY, TERMINAL_KEY.verifier)
# A checkpoint after so many pages instead of 1000, so that a short run meets several.
CHECKPOINT_PAGES = 40


class WeakConnection(sqlite3.Connection):
    """Takes every demand for synchronous=FULL for NORMAL."""

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        """As sqlite3.Connection."""
        return super().execute(statement.replace("synchronous = FULL", "synchronous=1"), *values)


class BriskConnection(sqlite3.Connection):
    """Meets checkpoints early."""

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        """As sqlite3.Connection."""
        if statement == "PRAGMA synchronous = FULL":
            super().execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        return super().execute(statement, *values)


def main(folder: str, records: str, synchronous: str) -> None:
    """Append, and promise each record after its append returned."""
    factory = WeakConnection if synchronous == "NORMAL" else BriskConnection
    connect = sqlite3.connect
    sqlite3.connect = lambda *path, **options: connect(*path, **options, factory=factory)  # type: ignore[assignment]
    journal = Journal(Path(folder) / "journal.db", IDENTITY)
    for number in range(1, int(records) + 1):
        record = sale(journal.head)
        if synchronous == "PURSE":
            journal.intend(Intent(record, None, b"what the card was told"))
            os.write(1, f"ACK {2 * number - 1}\n".encode())
            journal.append(record, ends=record.tid)
            os.write(1, f"ACK {2 * number}\n".encode())
        else:
            journal.append(record)
            os.write(1, f"ACK {number}\n".encode())
    journal.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
