"""The whole HTTP side over a real database, served by a real uvicorn on a free port."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import httpx
import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import select

from cloud import wiring
from cloud.http.backend import Backend
from cloud.http.guard import Guard
from cloud.http.identity import SECRET_BYTES, Role, Sessions, digest_of, new_token
from cloud.http.store import StoredCredentials, add_token
from cloud.keys import Keys
from cloud.storage.engine import Database, open_database
from cloud.storage.migration import migrate
from cloud.storage.schema import metadata
from tests.cloud.cards.tags import ESTATE
from tests.cloud.town import CURRENCY, LEDGER_KEY, MORNING_MS, RULES_KEY, TENANT
from tests.services.server import Server

NOON_MS = MORNING_MS + 4 * 3_600_000


class Heard:
    """Keeps what the line to the terminals is told."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []
        self.commands: list[bytes] = []

    def terminal_changed(self, terminal: str) -> None:
        self.said.append(("terminal", terminal))

    def bundle_published(self) -> None:
        self.said.append(("bundle", ""))

    def members_changed(self) -> None:
        self.said.append(("members", ""))

    def command(self, terminal: str, data: bytes) -> None:
        self.said.append(("command", terminal))
        self.commands.append(data)


class Front:
    """An application with one token for each role; ``now_ms`` is its clock."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now_ms = NOON_MS
        self.line = Heard()
        self.registry = CollectorRegistry()
        self.ready = {"database": True, "broker": True}
        random = Random(7)
        self.tokens = {role: new_token(random.randbytes(SECRET_BYTES)) for role in Role}
        with database.write() as connection:
            for role, token in self.tokens.items():
                label = f"{role.value}-1"
                add_token(connection, label, digest_of(token), role, label, MORNING_MS)
        credentials = StoredCredentials(database)
        sessions = Sessions(credentials, self.clock_ms, random.randbytes)
        self.backend = Backend(
            guard=Guard(credentials, sessions),
            database=database,
            line=self.line,
            clock_ms=self.clock_ms,
            random=random.randbytes,
        )
        self.app = wiring.application(
            TENANT,
            CURRENCY,
            Keys(LEDGER_KEY, RULES_KEY, ESTATE),
            self.backend,
            self.registry,
            lambda: self.ready,
        )

    def clock_ms(self) -> int:
        return self.now_ms


@cache
def _migrated() -> bytes:
    with TemporaryDirectory() as folder:
        database = open_database("sqlite:///ledger.db", Path(folder))
        migrate(database)
        database.close()
        return (Path(folder) / "ledger.db").read_bytes()


def new_ledger(folder: Path) -> Database:
    """A migrated, empty SQLite database; the migrations run once for all tests."""
    (folder / "ledger.db").write_bytes(_migrated())
    return open_database("sqlite:///ledger.db", folder)


def contents(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table but sessions: what must be the same where nothing may change."""
    with database.read() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table))]
            for table in metadata.sorted_tables
            if table.name != "sessions"
        }


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    """The application over a migrated SQLite database with nothing but tokens in it."""
    database = new_ledger(tmp_path)
    yield Front(database)
    database.close()


@pytest.fixture
def api(front: Front) -> Iterator[Callable[[Role | None], httpx.Client]]:
    """Clients by role over real HTTP; None is a caller without a token."""
    with Server(front.app) as server, ExitStack() as stack:

        def client(role: Role | None) -> httpx.Client:
            headers = {} if role is None else {"Authorization": f"Bearer {front.tokens[role]}"}
            made = httpx.Client(base_url=server.url, headers=headers, trust_env=False)
            return stack.enter_context(made)

        yield client
