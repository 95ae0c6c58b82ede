"""The one open address of cards: what a phone asks when somebody holds it to a tag.

It tells nothing of a person without a token that may see the books. A browser is answered with a
page, a program with JSON.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from cloud.cards.counters import TagCounters
from cloud.cards.documents import TagDocument
from cloud.cards.store import card_of
from cloud.console.shell import Shell
from cloud.errors import StorageDown, TagCopied
from cloud.http.errors import BadField, NotAllowed, NotAuthenticated, responses, status_of
from cloud.http.identity import Permission
from cloud.storage.engine import Database
from protocol.errors import ProductError, SunRefused

PATH = "/v1/sun"

_Part = Annotated[str, Query(max_length=64, description="As the tag wrote it.")]


class TagDesk(NamedTuple):
    """What the route needs. ``counters`` None: this cloud has no estate's key."""

    counters: TagCounters | None
    tenant: str


def router(shell: Shell, desk: TagDesk) -> APIRouter:
    """The route of tags' messages."""
    api = APIRouter(tags=["cards"])

    @api.get(
        PATH,
        summary="What a tag's message proves",
        description="Open: a phone that is held to a tag of ours comes here. The second time that "
        "the same message comes it is refused. With a token that may see the books it says whose "
        "card it is.",
        response_model=TagDocument,
        openapi_extra={"security": [{}, {"HTTPBearer": []}]},
        responses=responses(
            SunRefused, TagCopied, BadField, NotAuthenticated, NotAllowed, StorageDown
        ),
    )
    async def message(request: Request, s: _Part, p: _Part, e: _Part, m: _Part) -> Response:
        try:
            found = await _found(request, shell, desk)
        except ProductError as error:
            if not _is_browser(request):
                raise
            return shell.page(request, "cards/tag.html", {"error": error}, status_of(error))
        if _is_browser(request):
            return shell.page(request, "cards/tag.html", {"error": None})
        return JSONResponse(found.model_dump(), HTTPStatus.OK)

    return api


async def _found(request: Request, shell: Shell, desk: TagDesk) -> TagDocument:
    """Verify, count, and look for the owner if the caller may know; a bad token counts nothing."""
    backend = shell.backend
    knows = "authorization" in request.headers
    if knows:
        await run_in_threadpool(backend.guard.admit, request, Permission.BOOKS)
    if desk.counters is None:
        raise SunRefused("no estate's key in cloud.toml")
    read = await desk.counters.admit(b"?" + request.scope["query_string"])
    if not knows:
        return TagDocument(tenant=desk.tenant)
    return await run_in_threadpool(_owned, backend.database, desk.tenant, read.uid)


def _owned(database: Database, tenant: str, uid: bytes) -> TagDocument:
    with database.read() as connection:
        card = card_of(connection, uid)
    if card is None:
        return TagDocument(tenant=tenant)
    member, state = card
    return TagDocument(tenant=tenant, member=member, state=state.name.lower())


def _is_browser(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")
