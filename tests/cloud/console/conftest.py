"""The console in a real Chromium, over a morning in a small chain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest
from playwright.sync_api import Page

from cloud.console.shell import LANGUAGE_COOKIE
from cloud.console.texts import Language
from cloud.http.identity import CONSOLE_PATH, SESSION_COOKIE, Role
from tests.cloud.day import live_a_morning
from tests.cloud.front import Front, front, new_ledger
from tests.cloud.town import Town
from tests.services.server import Server

__all__ = ["front"]

ADDRESS = "127.0.0.1"


@dataclass
class Console:
    """A served console; ``url`` is its address."""

    front: Front
    url: str
    town: Town

    def enter(self, tab: Page, role: Role) -> None:
        """Give ``tab`` a session of ``role``."""
        value = self.front.backend.guard.sessions.log_in(self.front.tokens[role], ADDRESS)
        tab.context.add_cookies(
            [
                {
                    "name": SESSION_COOKIE,
                    "value": value,
                    "domain": ADDRESS,
                    "path": CONSOLE_PATH,
                    "sameSite": "Strict",
                }
            ]
        )

    def open(self, tab: Page, path: str, role: Role = Role.ADMIN) -> int:
        """Show ``path`` to ``role``; returns the status."""
        self.enter(tab, role)
        answer = tab.goto(self.url + path)
        assert answer is not None
        return answer.status

    def client(self, role: Role | None) -> httpx.Client:
        """A client with a session of ``role``, as a browser without scripts would be."""
        made = httpx.Client(base_url=self.url, trust_env=False)
        if role is not None:
            value = self.front.backend.guard.sessions.log_in(self.front.tokens[role], ADDRESS)
            made.cookies.set(SESSION_COOKIE, value, domain=ADDRESS, path=CONSOLE_PATH)
        return made


def choose(tab: Page, language: Language) -> None:
    """Prefer ``language`` as the toggle would."""
    tab.context.add_cookies(
        [
            {
                "name": LANGUAGE_COOKIE,
                "value": language.value,
                "domain": ADDRESS,
                "path": CONSOLE_PATH,
            }
        ]
    )


@pytest.fixture
def console(front: Front) -> Iterator[Console]:
    """A console of this test alone: it may change what it shows."""
    town = live_a_morning(front.database)
    with Server(front.app) as server:
        yield Console(front, server.url, town)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A console that several tests look at and none changes."""
    database = new_ledger(tmp_path_factory.mktemp("console"))
    town = live_a_morning(database)
    front = Front(database)
    with Server(front.app) as server:
        yield Console(front, server.url, town)
    database.close()


@pytest.fixture
def client(shown: Console) -> Iterator[Callable[[Role | None], httpx.Client]]:
    """Clients of ``shown`` by role."""
    with ExitStack() as stack:
        yield lambda role: stack.enter_context(shown.client(role))
