"""Opens the database and gives transactions: many readers, one writer at a time.

SQLite: WAL with synchronous=FULL, so that a committed row survives a power cut. PostgreSQL: the
server's defaults (fsync and synchronous_commit on). What is read and written is left to others.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    InternalError,
    OperationalError,
    TimeoutError,  # noqa: A004
)

from cloud.errors import BadConfig, StorageDown

# A writer waits for another one at most this long, in ms: longer than any batch, shorter than a
# person's patience.
BUSY_MS = 10_000
# Dirty pages are copied back into the file after this many (64 MB of 4 KiB pages): a page that
# changes often is copied once for many commits, and a start after a crash reads it in a moment.
CHECKPOINT_PAGES = 16_000
CACHE_KIB = 65_536
# A PostgreSQL that is there takes a connection in less, in s; libpq knows no shorter one than 2.
CONNECT_S = 5
# No statement of a served cloud takes longer on a healthy server, in ms.
STATEMENT_MS = 30_000
# A server's machine that vanished is given up after so long, in ms: what is sent and not
# acknowledged, and what is waited for while the line is silent.
VANISHED_MS = 20_000
_PROBE_EVERY_S, _PROBES = 5, 2
# Any number that no other program takes for its advisory locks.
WRITER_LOCK = 0x7461706C
# Connections: one for each of the 40 threads that may serve a request, and some of our own.
CONNECTIONS_MAX = 48
# Values stay out of error texts, and so out of the log.
_OPTIONS: dict[str, Any] = {
    "hide_parameters": True,
    "max_overflow": CONNECTIONS_MAX - 5,  # above the five that the pool keeps open
}
# Of the database itself, not of a statement; hot statements run on the driver's own connection.
_FAILURES = (
    OperationalError,
    InterfaceError,
    InternalError,  # as of a server that may only be read while a standby takes over
    TimeoutError,  # no connection became free
    sqlite3.OperationalError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.InternalError,
)


class Database:
    """One database. ``kind`` is ``sqlite`` or ``postgresql``; every transaction ends in `with`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.kind = engine.dialect.name

    @contextmanager
    def read(self, *, patient: bool = False) -> Iterator[Connection]:
        """One consistent view; nothing that is written in it stays.

        StorageDown when the database does not answer in time. ``patient``: a statement takes as
        long as it takes; for verify and migrations.
        """
        with _named_failures(), self.engine.connect() as connection:
            if self.kind == "sqlite":
                connection.exec_driver_sql("BEGIN")
            else:
                connection.exec_driver_sql(
                    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
                )
                self._wait(connection, patient=patient)
            yield connection

    @contextmanager
    def write(self, *, patient: bool = False) -> Iterator[Connection]:
        """The one writer: commits at the end, takes everything back on an exception.

        Writers follow one another, so what was read here is true until the commit, and versions
        that count up become visible in their order.
        """
        with _named_failures(), self.engine.connect() as connection:
            if self.kind == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                self._wait(connection, patient=patient)
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (WRITER_LOCK,))
            yield connection
            connection.commit()

    @staticmethod
    def _wait(connection: Connection, *, patient: bool) -> None:
        if patient:
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            connection.exec_driver_sql("SET LOCAL lock_timeout = 0")

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def open_database(url: str, folder: Path | None = None) -> Database:
    """Open ``url``: ``sqlite:///file`` (relative to ``folder``) or ``postgresql+psycopg://...``.

    BadConfig for any other; the server is not asked yet.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise BadConfig("database is not a URL") from error
    if parsed.drivername == "sqlite" and parsed.database:
        path = (folder or Path()) / parsed.database
        path.parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed.set(database=str(path)), **_OPTIONS)
        event.listen(engine, "connect", _prepare_sqlite)
        return Database(engine)
    if parsed.drivername == "postgresql+psycopg":
        limits = _limits()
        engine = create_engine(parsed, pool_pre_ping=True, connect_args=limits, **_OPTIONS)
        return Database(engine)
    raise BadConfig("database must be sqlite:///file or postgresql+psycopg://user@host/name")


def _limits() -> dict[str, Any]:
    """How long PostgreSQL is waited for: libpq's parameters of a connection, and the session's.

    Whoever waits longer holds a thread, and while the writer waits nobody is acknowledged.
    """
    return {
        "connect_timeout": CONNECT_S,
        "tcp_user_timeout": VANISHED_MS,
        "keepalives_idle": VANISHED_MS // 1000 - _PROBE_EVERY_S * _PROBES,
        "keepalives_interval": _PROBE_EVERY_S,
        "keepalives_count": _PROBES,
        "options": f"-c statement_timeout={STATEMENT_MS} -c lock_timeout={BUSY_MS}",
    }


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where the code says so
    for pragma in (
        f"busy_timeout = {BUSY_MS}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        f"cache_size = -{CACHE_KIB}",
        f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


@contextmanager
def _named_failures() -> Iterator[None]:
    try:
        yield
    except _FAILURES as error:
        text = str(error.orig if isinstance(error, DBAPIError) else error)
        raise StorageDown(text.partition("\n")[0][:200]) from error
