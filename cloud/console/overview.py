"""The first page: one panel from each capability."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection

from cloud.console.shell import Place, Shell
from cloud.http.identity import CONSOLE_PATH, Permission

PLACE = Place("overview", "Overview", CONSOLE_PATH, "overview", Permission.FLEET)


class Panel(NamedTuple):
    """Part of the overview: a template and what it shows, read in one transaction at ``now_ms``."""

    template: str
    permission: Permission
    facts: Callable[[Connection, int], Mapping[str, Any]]


class Shown(NamedTuple):
    """A panel with its facts."""

    template: str
    facts: Mapping[str, Any]


def router(shell: Shell, panels: Sequence[Panel]) -> APIRouter:
    """The route of the overview."""
    pages = APIRouter(include_in_schema=False)

    @pages.get(CONSOLE_PATH)
    def overview(request: Request) -> Response:
        caller = shell.enter(request, PLACE.permission)
        now_ms = shell.backend.clock_ms()
        with shell.backend.database.read() as connection:
            shown = [
                Shown(panel.template, panel.facts(connection, now_ms))
                for panel in panels
                if caller.may(panel.permission)
            ]
        return shell.page(request, "console/overview.html", {"panels": shown})

    return pages
