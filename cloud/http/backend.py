"""What every router stands on, and what routers ask of the line to the terminals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cloud.http.guard import Guard
from cloud.storage.engine import Database


class Line(Protocol):
    """Tells terminals at once. Called after the commit, from any thread; must not block.

    What is lost here is not lost: a terminal's next report finds it.
    """

    def terminal_changed(self, terminal: str) -> None:
        """A terminal was enrolled, revoked, or may open a new epoch."""

    def bundle_published(self) -> None:
        """There is a bundle that no terminal has."""

    def members_changed(self) -> None:
        """The member list has a new version."""

    def command(self, terminal: str, data: bytes) -> None:
        """Carry a signed command."""


@dataclass(frozen=True, kw_only=True)
class Backend:
    """Guard, database and line, with clock (UTC, ms since 1970) and randomness (n bytes)."""

    guard: Guard
    database: Database
    line: Line
    clock_ms: Callable[[], int]
    random: Callable[[int], bytes]
