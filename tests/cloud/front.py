"""The whole HTTP side over a real database, served by a real uvicorn on a free port."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import uvicorn
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from cloud.console import login, overview
from cloud.console.files import VersionedFiles
from cloud.console.shell import STATIC_PATH, Shell
from cloud.fleet import api as fleet_api
from cloud.fleet import pages as fleet_pages
from cloud.http.app import Parts, create_app
from cloud.http.backend import Backend
from cloud.http.guard import Guard
from cloud.http.identity import (
    CONSOLE_PATH,
    SECRET_BYTES,
    Role,
    Sessions,
    digest_of,
    new_token,
)
from cloud.http.store import StoredCredentials, add_token
from cloud.ledger import api as ledger_api
from cloud.ledger import pages as ledger_pages
from cloud.members import api as members_api
from cloud.members import pages as members_pages
from cloud.rules import api as rules_api
from cloud.rules import pages as rules_pages
from cloud.storage.engine import Database
from tests.cloud.town import CURRENCY, LEDGER_KEY, MORNING_MS, RULES_KEY, TENANT

NOON_MS = MORNING_MS + 4 * 3_600_000
READY_S = 20.0


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
        self.app = self._app()

    def clock_ms(self) -> int:
        return self.now_ms

    def _app(self) -> FastAPI:
        backend = self.backend
        keys = fleet_api.Keys(
            TENANT,
            LEDGER_KEY,
            (f"-8:{LEDGER_KEY.verifier.public.hex()}",),
            (f"-8:{RULES_KEY.verifier.public.hex()}",),
        )
        publisher = rules_api.Publisher(TENANT, CURRENCY, RULES_KEY)
        places = (
            *(overview.PLACE, fleet_pages.PLACE, members_pages.PLACE, ledger_pages.PLACE),
            *(rules_pages.PLACE, ledger_pages.QUARANTINE_PLACE),
        )
        shell = Shell(backend, places, TENANT, CURRENCY)
        panels = (fleet_pages.PANEL, members_pages.PANEL, rules_pages.PANEL, ledger_pages.PANEL)
        return create_app(
            Parts(
                guard=backend.guard,
                routers=(
                    *(fleet_api.router(backend, keys), members_api.router(backend)),
                    *(ledger_api.router(backend), rules_api.router(backend, publisher)),
                    *(login.router(shell), overview.router(shell, panels)),
                    *(fleet_pages.router(shell, keys), members_pages.router(shell)),
                    *(ledger_pages.router(shell), rules_pages.router(shell, publisher)),
                ),
                static={STATIC_PATH: VersionedFiles()},
                readiness=lambda: self.ready,
                registry=CollectorRegistry(),
                version="0.1.0",
                pages=CONSOLE_PATH,
                error_page=shell.error_page,
            )
        )


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve ``app`` on a free loopback port; yields its address, ends with the block."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_config=None, lifespan="off", ws="none"
    )
    server = uvicorn.Server(config)
    listening = config.bind_socket()
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        # The socket listens already: a request waits until the server takes it.
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(READY_S)
        listening.close()
