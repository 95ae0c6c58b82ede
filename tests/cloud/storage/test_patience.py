"""How long a database is waited for: nobody hangs, and what may take long does."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from cloud.errors import StorageDown
from cloud.storage import engine
from cloud.storage.engine import Database, open_database
from cloud.storage.migration import migrate

if TYPE_CHECKING:
    from tests.services.postgres import Postgres

SHORT_MS = 200
# What a machine with much to do may add.
PATIENCE_S = 20.0

pytestmark = pytest.mark.postgres


@pytest.fixture
def hurried(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """Waits a fifth of a second for a statement, and for another writer."""
    monkeypatch.setattr(engine, "STATEMENT_MS", SHORT_MS)
    monkeypatch.setattr(engine, "BUSY_MS", SHORT_MS)
    opened = open_database(postgres.new_database())
    yield opened
    opened.close()


@pytest.mark.parametrize("kind", ["read", "write"])
def test_a_statement_that_takes_too_long_is_given_up(hurried: Database, kind: str) -> None:
    transaction = getattr(hurried, kind)
    with pytest.raises(StorageDown), transaction() as connection:
        connection.exec_driver_sql("SELECT pg_sleep(60)")
    with transaction(patient=True) as connection:
        connection.exec_driver_sql(f"SELECT pg_sleep({3 * SHORT_MS / 1000})")
    with pytest.raises(StorageDown), transaction() as connection:  # the next one hurries again
        connection.exec_driver_sql("SELECT pg_sleep(60)")


def test_a_writer_that_never_ends_does_not_hold_the_others(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BUSY_MS", SHORT_MS)
    database = open_database(postgres.new_database())
    began = time.monotonic()
    with database.write(), pytest.raises(StorageDown), database.write():
        pass
    assert time.monotonic() - began < PATIENCE_S  # and not as long as a statement may take
    with database.write() as connection:
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar() == "30s"
    database.close()


def test_a_migration_takes_as_long_as_it_takes(hurried: Database) -> None:
    """It waits for a writer that takes longer than anybody else would wait for."""
    migrated = threading.Thread(target=migrate, args=(hurried,))
    with hurried.write(patient=True) as connection:
        migrated.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"
        deadline = time.monotonic() + PATIENCE_S
        while not connection.exec_driver_sql(waiting).scalar():
            assert time.monotonic() < deadline, "the migration waits"
        connection.exec_driver_sql(f"SELECT pg_sleep({3 * SHORT_MS / 1000})")
    migrated.join(PATIENCE_S)
    with hurried.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM counters").scalar() == 0


def test_a_server_that_takes_connections_and_says_nothing_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "CONNECT_S", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        database = open_database(f"postgresql+psycopg://ledger@127.0.0.1:{port}/ledger")
        began = time.monotonic()
        with pytest.raises(StorageDown), database.read():
            pass
        assert time.monotonic() - began < PATIENCE_S
        database.close()


def test_a_machine_that_vanishes_is_given_up(postgres: Postgres) -> None:
    """What libpq was told, because nothing here can make a machine vanish."""
    database = open_database(postgres.new_database())
    with database.read() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        said = driver.info.get_parameters()
    assert said["tcp_user_timeout"] == str(engine.VANISHED_MS)
    idle, interval, count = (
        int(said[f"keepalives_{name}"]) for name in ("idle", "interval", "count")
    )
    assert (idle + interval * count) * 1000 == engine.VANISHED_MS
    database.close()
