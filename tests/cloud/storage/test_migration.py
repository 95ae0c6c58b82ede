"""The steps lead to the tables of the schema, on both databases."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import insert, select

from cloud.errors import BadConfig, StorageDown, WrongSchema
from cloud.ledger.proof import quarantined
from cloud.storage import migrations
from cloud.storage.engine import Database, open_database
from cloud.storage.migration import check_version, migrate
from cloud.storage.rows import QuarantineRow
from cloud.storage.schema import epochs, metadata, quarantine, terminals

STEPS = Path(migrations.__file__).parent


def test_migrations_and_schema_say_the_same(database: Database) -> None:
    migrate(database)  # a second time changes nothing
    with database.read() as connection:
        check_version(connection)
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_what_was_kept_apart_and_closed_before_step_2_comes_with_it(database: Database) -> None:
    """Of the end of an epoch only what the ledger has counts from then on."""
    with database.write() as connection:
        metadata.drop_all(connection)
        connection.exec_driver_sql("DELETE FROM alembic_version")
        config = Config()
        config.set_main_option("script_location", str(STEPS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        terminal = dict.fromkeys(("standing", "epoch", "enrolled_ms", "heard_ms", "online"), 0)
        more = {"terminal": "t-1", "site": "s", "revision": 1, "status_every_s": 30}
        connection.execute(insert(terminals).values(**terminal, **more))
        epoch = {"terminal": "t-1", "algorithm": -8, "public_key": b"", "grant_data": b""}
        epoch |= {"granted_ms": 0, "upto_seq": 7, "head_hash": b"", "quarantined": 1}
        for number, closed_ms in ((1, 5), (2, 0)):
            closed = {"epoch": number, "closed_ms": closed_ms, "closed_seq": 99 if closed_ms else 0}
            connection.execute(insert(epochs).values(**epoch, **closed))
        row = ("t-1", 1, 3, b"h", b"d", "revoked", 1)
        columns = [quarantine.c[name] for name in QuarantineRow._fields[: len(row)]]
        connection.execute(insert(quarantine).values(dict(zip(columns, row, strict=True))))
    migrate(database)
    with database.read() as connection:
        check_version(connection)
        ends = connection.execute(select(epochs.c.closed_seq).order_by(epochs.c.epoch)).scalars()
        assert list(ends) == [7, 0]
        assert quarantined(connection) == [QuarantineRow(*row, 0, "", "")]


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
