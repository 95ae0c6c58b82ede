"""The steps lead to the tables of the schema, on both databases."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from cloud.errors import BadConfig, StorageDown, WrongSchema
from cloud.storage.engine import Database, open_database
from cloud.storage.migration import check_version, migrate
from cloud.storage.schema import metadata


def test_migrations_and_schema_say_the_same(database: Database) -> None:
    migrate(database)  # a second time changes nothing
    with database.read() as connection:
        check_version(connection)
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_database_without_tables_is_told_apart(tmp_path: Path) -> None:
    database = open_database("sqlite:///empty.db", tmp_path)
    with database.read() as connection, pytest.raises(WrongSchema):
        check_version(connection)
    database.close()


def test_every_commit_of_sqlite_reaches_the_disk(tmp_path: Path) -> None:
    database = open_database("sqlite:///data/ledger.db", tmp_path)
    with database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    database.close()


@pytest.mark.parametrize("url", ["", "ledger.db", "sqlite://", "mysql://localhost/x"])
def test_an_address_that_is_no_database_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(BadConfig):
        open_database(url, tmp_path)


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    database = open_database(f"postgresql+psycopg://ledger@/ledger?host={tmp_path}")
    with pytest.raises(StorageDown), database.read():
        pass
    database.close()
