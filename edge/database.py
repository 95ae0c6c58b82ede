"""A SQLite file that keeps its word: what was committed is on the disk. Tables are its users'."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

_MIGRATIONS = Path(__file__).parent / "migrations"
# How long a reader from outside (the technician's tools) may hold the file before we complain.
_BUSY_S = 5.0


def open_database(path: Path, kind: str) -> sqlite3.Connection:
    """Open ``path`` with its schema up to date; raises sqlite3.Error and OSError.

    ``kind`` is the folder of its numbered migrations. Statements commit by themselves, and when
    one returns it is durable: WAL and synchronous=FULL.
    """
    is_new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    connection = sqlite3.connect(
        path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA trusted_schema = OFF")
        _migrate(connection, kind)
        _checkpoint(connection)
    except BaseException:
        connection.close()
        raise
    if is_new:
        _sync_directory(path.parent)
    return connection


def open_replaceable(path: Path, kind: str) -> sqlite3.Connection:
    """As ``open_database``, but a file that is broken is replaced by an empty one."""
    try:
        return open_database(path, kind)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        for part in ("", "-wal", "-shm"):
            Path(f"{path}{part}").unlink(missing_ok=True)
        return open_database(path, kind)


def _migrate(connection: sqlite3.Connection, kind: str) -> None:
    """Run the migrations behind user_version, each in a transaction of its own."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    scripts = sorted((_MIGRATIONS / kind).glob("*.sql"))
    if version > len(scripts):
        raise sqlite3.DatabaseError(f"schema {version} is newer than this program")
    for number, script in enumerate(scripts[version:], version + 1):
        statements = script.read_text(encoding="utf-8")
        connection.executescript(
            f"BEGIN IMMEDIATE; {statements}; PRAGMA user_version = {number}; COMMIT;"
        )


def _checkpoint(connection: sqlite3.Connection) -> None:
    """Bring what the log holds into the file.

    After a crash or a failed fsync, pages that can be read may never have reached the disk: here
    they are written once more and synced, or it fails.
    """
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise sqlite3.OperationalError("another program holds the database")


def _sync_directory(folder: Path) -> None:
    """Make a new file's name durable (the file's own sync does not)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
