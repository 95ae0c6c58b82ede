"""Console pages of members: search, one member with statement and cards, the overview's part."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Query, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import Connection

from cloud.console.overview import Panel
from cloud.console.sheet import sheet
from cloud.console.shell import Place, Shell
from cloud.http.document import MemberPath
from cloud.http.identity import CONSOLE_PATH, Permission
from cloud.ledger.purses import purses_of
from cloud.ledger.statement import StatementLine, statement
from cloud.members import store
from cloud.members.api import mark_of, mark_text
from cloud.members.documents import CARD_STATES, statement_entry
from cloud.members.figures import figures
from protocol.member_list import CardState

PATH = f"{CONSOLE_PATH}/members"
PLACE = Place("members", "Members", PATH, "members", Permission.BOOKS)
# One page of members or of a statement, and one file.
PAGE, SHEET = 50, 5000

_Search = Annotated[str, Query(max_length=64)]
_After = Annotated[str, Query(max_length=40)]
_Before = Annotated[str | None, Query(pattern=r"^[0-9]{1,15}-[0-9]{1,18}$")]
_State = Annotated[str, Form(pattern=f"^({'|'.join(CARD_STATES)})$")]


def router(shell: Shell) -> APIRouter:
    """The routes of members' pages."""
    pages = APIRouter(include_in_schema=False)
    _listing(pages, shell)
    _one(pages, shell)
    _cards(pages, shell)
    return pages


def _listing(pages: APIRouter, shell: Shell) -> None:
    @pages.get(PATH)
    def listing(request: Request, search: _Search = "", after: _After = "") -> Response:
        shell.enter(request, Permission.BOOKS)
        with shell.backend.database.read() as connection:
            found = store.all_members(connection, after, search.strip(), PAGE + 1)
        more = found[PAGE - 1].member if len(found) > PAGE else None
        facts = {"members": found[:PAGE], "search": search, "after": after, "more": more}
        return shell.page(request, "members/members.html", facts)

    @pages.get(f"{PATH}.csv")
    def table(request: Request, search: _Search = "") -> Response:
        shell.enter(request, Permission.BOOKS)
        with shell.backend.database.read() as connection:
            found = store.all_members(connection, "", search.strip(), SHEET)
        head = ("member", "name", "balance", "points", "qualifying", "created_ms")
        rows = [
            (
                *(each.member, each.name, each.state.balance),
                *(each.state.points - each.state.points_debt, each.state.qualifying),
                each.created_ms,
            )
            for each in found
        ]
        return sheet("members", head, rows)


def _one(pages: APIRouter, shell: Shell) -> None:
    @pages.get(f"{PATH}/{{member}}")
    def one(request: Request, member: MemberPath, before: _Before = None) -> Response:
        shell.enter(request, Permission.BOOKS)
        with shell.backend.database.read() as connection:
            found = store.member(connection, member)
            cards = store.cards_of(connection, member)
            lines = statement(connection, member, mark_of(before), PAGE + 1)
            purses = purses_of(connection, member)
        facts = {
            "purses": purses,
            "member": found,
            "cards": cards,
            "lines": [statement_entry(line) for line in lines[:PAGE]],
            "before": before,
            "more": mark_text(lines[PAGE - 1].mark) if len(lines) > PAGE else None,
        }
        return shell.page(request, "members/member.html", facts)

    @pages.get(f"{PATH}/{{member}}/statement.csv")
    def table(request: Request, member: MemberPath) -> Response:
        shell.enter(request, Permission.BOOKS)
        with shell.backend.database.read() as connection:
            store.member(connection, member)
            lines = statement(connection, member, None, SHEET)
        head = (
            *("occurred_ms", "receipt", "terminal", "site", "kind", "state", "value"),
            *("value_after", "points", "points_after", "bundle", "rules", "by_card"),
        )
        return sheet(f"statement-{member}", head, [_row(line) for line in lines])


def _row(line: StatementLine) -> tuple[str | int, ...]:
    entry = statement_entry(line)
    return (
        *(entry.occurred_ms, entry.receipt, entry.terminal, entry.site, entry.kind, entry.state),
        *(entry.value, entry.value_after, entry.points, entry.points_after, entry.bundle),
        " ".join(entry.rules),
        entry.by_card,
    )


def _cards(pages: APIRouter, shell: Shell) -> None:
    @pages.post(f"{CONSOLE_PATH}/cards/{{reference}}/state")
    def step(
        request: Request,
        reference: Annotated[str, Path(pattern="^[0-9a-f]{32}$")],
        state: _State,
    ) -> Response:
        shell.enter(request, Permission.OPERATE)
        backend = shell.backend
        wanted: CardState = CARD_STATES[state]
        with backend.database.write() as connection:
            card = store.set_card_state(
                connection, bytes.fromhex(reference), wanted, backend.clock_ms()
            )
        backend.line.members_changed()
        return RedirectResponse(f"{PATH}/{card.member}", HTTPStatus.SEE_OTHER)


def _overview(connection: Connection, _now_ms: int) -> Mapping[str, Any]:
    return {"figures": figures(connection)}


PANEL = Panel("members/overview.html", Permission.BOOKS, _overview)
