"""Console pages of terminals: the fleet, one terminal with its commands, the overview's part."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import Connection

from cloud.console.overview import Panel
from cloud.console.sheet import sheet
from cloud.console.shell import Place, Shell
from cloud.fleet import store
from cloud.fleet.api import Keys, send_command
from cloud.fleet.model import Terminal
from cloud.fleet.presence import Presence, presence
from cloud.http.document import TerminalPath
from cloud.http.identity import CONSOLE_PATH, Permission
from cloud.ledger import search
from protocol.command import Verb
from protocol.watermark import Standing

PATH = f"{CONSOLE_PATH}/terminals"
PLACE = Place("terminals", "Terminals", PATH, "terminals", Permission.FLEET)
# What is shown of a terminal's newest records and commands.
RECENT = 10

_Narrow = Annotated[str, Query(max_length=40)]


class Seen(NamedTuple):
    """A terminal with what follows from the time and from the other terminals."""

    terminal: Terminal
    presence: Presence
    bundle: int
    behind: bool  # another terminal has newer prices

    @property
    def standing(self) -> str:
        """The standing as a code."""
        return self.terminal.standing.name.lower()

    @property
    def needs_attention(self) -> bool:
        """Whether a person should look."""
        return self.presence is not Presence.ONLINE or self.terminal.standing != Standing.ACTIVE


def seen(terminals: list[Terminal], now_ms: int) -> list[Seen]:
    """Return ``terminals`` as they look at ``now_ms``."""
    bundles = [each.status.bundle_version if each.status else 0 for each in terminals]
    newest = max(bundles, default=0)
    return [
        Seen(each, presence(each, now_ms), bundle, bundle < newest)
        for each, bundle in zip(terminals, bundles, strict=True)
    ]


def router(shell: Shell, keys: Keys) -> APIRouter:
    """The routes of terminals' pages."""
    pages = APIRouter(include_in_schema=False)
    _fleet(pages, shell)
    _one(pages, shell)
    _orders(pages, shell, keys)
    return pages


def _fleet(pages: APIRouter, shell: Shell) -> None:
    def wanted(request: Request, site: str, state: str, text: str) -> tuple[list[Seen], list[str]]:
        shell.enter(request, Permission.FLEET)
        with shell.backend.database.read() as connection:
            found = seen(store.all_terminals(connection), shell.backend.clock_ms())
        sites = sorted({each.terminal.site for each in found})
        return [
            each
            for each in found
            if site in ("", each.terminal.site)
            and state in ("", each.presence, each.standing)
            and text in each.terminal.terminal
        ], sites

    @pages.get(PATH)
    def fleet(
        request: Request, site: _Narrow = "", state: _Narrow = "", text: _Narrow = ""
    ) -> Response:
        shown, sites = wanted(request, site, state, text.strip())
        states = [*Presence, *(each.name.lower() for each in Standing)]
        facts = {"shown": shown, "sites": sites, "states": states}
        chosen = {"site": site, "state": state, "text": text}
        return shell.page(request, "fleet/terminals.html", facts | chosen)

    @pages.get(f"{PATH}.csv")
    def table(
        request: Request, site: _Narrow = "", state: _Narrow = "", text: _Narrow = ""
    ) -> Response:
        shown, _ = wanted(request, site, state, text.strip())
        head = (
            *("terminal", "site", "presence", "standing", "last_heard_ms", "queue"),
            *("oldest_unacknowledged_ms", "epoch", "upto_seq", "quarantined", "bundle"),
        )
        rows = [
            (
                *(each.terminal.terminal, each.terminal.site, each.presence.value, each.standing),
                *(each.terminal.heard_ms, each.terminal.queue, each.terminal.oldest_ms),
                *(each.terminal.epoch, each.terminal.upto_seq, each.terminal.quarantined),
                each.bundle,
            )
            for each in shown
        ]
        return sheet("terminals", head, rows)


def _one(pages: APIRouter, shell: Shell) -> None:
    @pages.get(f"{PATH}/{{terminal}}")
    def one(request: Request, terminal: TerminalPath, sent: _Narrow = "") -> Response:
        caller = shell.enter(request, Permission.FLEET)
        with shell.backend.database.read() as connection:
            found = store.terminal(connection, terminal)
            orders = store.commands_of(connection, terminal, RECENT)
            records = (
                search.find(connection, search.Query(terminal=terminal), RECENT)
                if caller.may(Permission.BOOKS)
                else []
            )
        facts = {"seen": seen([found], shell.backend.clock_ms())[0], "sent": sent}
        return shell.page(
            request, "fleet/terminal.html", facts | {"orders": orders, "records": records}
        )


def _orders(pages: APIRouter, shell: Shell, keys: Keys) -> None:
    backend = shell.backend

    @pages.post(f"{PATH}/{{terminal}}/commands")
    def order(request: Request, terminal: TerminalPath, verb: Annotated[Verb, Form()]) -> Response:
        caller = shell.enter(request, Permission.OPERATE)
        with backend.database.write() as connection:
            _, signed = send_command(connection, backend, keys.signer, terminal, verb, caller.label)
        backend.line.command(terminal, signed)
        return RedirectResponse(f"{PATH}/{terminal}?sent={verb}", HTTPStatus.SEE_OTHER)

    def ask(request: Request, terminal: str, template: str) -> Response:
        shell.enter(request, Permission.OPERATE)
        with backend.database.read() as connection:
            found = store.terminal(connection, terminal)
        return shell.page(request, template, {"terminal": found})

    @pages.get(f"{PATH}/{{terminal}}/lock")
    def ask_lock(request: Request, terminal: TerminalPath) -> Response:
        return ask(request, terminal, "fleet/lock.html")

    @pages.get(f"{PATH}/{{terminal}}/revoke")
    def ask_revoke(request: Request, terminal: TerminalPath) -> Response:
        return ask(request, terminal, "fleet/revoke.html")

    @pages.post(f"{PATH}/{{terminal}}/revoke")
    def revoke(request: Request, terminal: TerminalPath) -> Response:
        shell.enter(request, Permission.OPERATE)
        with backend.database.write() as connection:
            store.revoke(connection, terminal, backend.clock_ms())
        backend.line.terminal_changed(terminal)
        return RedirectResponse(f"{PATH}/{terminal}", HTTPStatus.SEE_OTHER)


def _overview(connection: Connection, now_ms: int) -> Mapping[str, Any]:
    fleet = seen(store.all_terminals(connection), now_ms)
    waiting = [each.terminal.oldest_ms for each in fleet if each.terminal.oldest_ms]
    return {
        "total": len(fleet),
        "online": sum(each.presence is Presence.ONLINE for each in fleet),
        "queue": sum(each.terminal.queue for each in fleet),
        "oldest_ms": min(waiting, default=0),
        "stopped": sum(each.terminal.standing != Standing.ACTIVE for each in fleet),
        "attention": [each for each in fleet if each.needs_attention],
    }


PANEL = Panel("fleet/overview.html", Permission.FLEET, _overview)
