"""One suite, two databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cloud.ledger.transaction import Ledger
from cloud.storage.engine import Database, open_database
from cloud.storage.migration import migrate
from tests.cloud.town import CURRENCY, MORNING_MS, Town, build_town

if TYPE_CHECKING:
    from tests.services.postgres import Postgres

KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A migrated, empty database of each kind."""
    url = "sqlite:///ledger.db"
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        url = server.new_schema()
    opened = open_database(url, tmp_path)
    migrate(opened)
    yield opened
    opened.close()


@pytest.fixture
def town(database: Database) -> Town:
    return build_town(database)


@pytest.fixture
def postgres_town(postgres: Postgres) -> Iterator[Town]:
    """Ann's town on PostgreSQL alone: for what only a server can do to it."""
    opened = open_database(postgres.new_database())
    migrate(opened)
    town = build_town(opened)
    town.add_members("ann")
    yield town
    opened.close()


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database, CURRENCY, lambda: MORNING_MS)
