"""Console pages of price and rule bundles: all of them, one, publish, the overview's part."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError
from sqlalchemy import Connection

from cloud.console.overview import Panel
from cloud.console.shell import Place, Shell, Whole
from cloud.http.errors import BadJson, fault_of, status_of
from cloud.http.identity import CONSOLE_PATH, Permission
from cloud.rules import store
from cloud.rules.api import Publisher, add
from cloud.rules.documents import NewBundle, bundle_document, content, state_of
from cloud.rules.model import Release
from protocol.errors import ProductError

PATH = f"{CONSOLE_PATH}/bundles"
PLACE = Place("bundles", "Prices", PATH, "bundles", Permission.FLEET)
# A form that starts a minute ahead leaves terminals the time to check and arm.
_LEAD_MS = 60_000
_WRITTEN = ("currency", "products", "rules", "tiers", "limits", "golden")


def router(shell: Shell, publisher: Publisher) -> APIRouter:
    """The routes of bundles' pages."""
    pages = APIRouter(include_in_schema=False)
    _reading(pages, shell)
    _publishing(pages, shell, publisher)
    return pages


def _reading(pages: APIRouter, shell: Shell) -> None:
    @pages.get(PATH)
    def listing(request: Request) -> Response:
        shell.enter(request, Permission.FLEET)
        now_ms = shell.backend.clock_ms()
        with shell.backend.database.read() as connection:
            number = _in_force(connection, now_ms)
            found = [
                (release, state_of(release, number, now_ms))
                for release in store.all_bundles(connection)
            ]
        return shell.page(request, "rules/bundles.html", {"bundles": found})

    @pages.get(f"{PATH}/{{number}}")
    def one(request: Request, number: Whole) -> Response:
        shell.enter(request, Permission.FLEET)
        now_ms = shell.backend.clock_ms()
        with shell.backend.database.read() as connection:
            release = store.bundle(connection, number)
            state = state_of(release, _in_force(connection, now_ms), now_ms)
        facts = {"release": release, "bundle": content(release), "state": state}
        return shell.page(request, "rules/bundle.html", facts)


def _publishing(pages: APIRouter, shell: Shell, publisher: Publisher) -> None:
    backend = shell.backend

    @pages.get(f"{CONSOLE_PATH}/publish")
    def form(request: Request) -> Response:
        shell.enter(request, Permission.PUBLISH)
        with backend.database.read() as connection:
            newest = next(iter(store.all_bundles(connection)), None)
        text = _draft_text(newest, backend.clock_ms() + _LEAD_MS)
        return shell.page(request, "rules/publish.html", {"text": text, "error": None})

    @pages.post(f"{CONSOLE_PATH}/publish")
    def publish(request: Request, text: Annotated[str, Form(max_length=500_000)]) -> Response:
        caller = shell.enter(request, Permission.PUBLISH)
        try:
            draft = _read(text).draft(publisher.currency)
            with backend.database.write() as connection:
                new = add(connection, backend, publisher, draft, caller.label)
        except ProductError as error:
            facts = {"text": text, "error": error}
            return shell.page(request, "rules/publish.html", facts, status_of(error))
        backend.line.bundle_published()
        return RedirectResponse(f"{PATH}/{new.number}", HTTPStatus.SEE_OTHER)


def _read(text: str) -> NewBundle:
    try:
        return NewBundle.model_validate(json.loads(text))
    except ValidationError as error:
        raise fault_of(error.errors()) from error
    except ValueError as error:
        raise BadJson(str(error)[:200]) from error


def _draft_text(newest: Release | None, activate_ms: int) -> str:
    """The newest bundle as a draft of the next one."""
    at = datetime.fromtimestamp(activate_ms // 1000, UTC)
    draft: dict[str, Any] = {"activate_at": at.isoformat()}
    if newest is None:
        draft["products"] = [
            {"sku": "coffee", "price": 1800, "name_zh": "咖啡", "name_en": "Coffee"}
        ]
    else:
        known = bundle_document(newest, 0, 0).model_dump()
        draft |= {name: known[name] for name in _WRITTEN}
    return json.dumps(draft, ensure_ascii=False, indent=2)


def _in_force(connection: Connection, now_ms: int) -> int:
    current = store.in_force(connection, now_ms)
    return current.number if current else 0


def _overview(connection: Connection, now_ms: int) -> Mapping[str, Any]:
    current = store.in_force(connection, now_ms)
    number = current.number if current else 0
    waiting = [
        each
        for each in store.all_bundles(connection)
        if state_of(each, number, now_ms) == "scheduled"
    ]
    return {"current": current, "waiting": waiting[::-1]}


PANEL = Panel("rules/overview.html", Permission.FLEET, _overview)
