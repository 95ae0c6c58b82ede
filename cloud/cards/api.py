"""The one open address of cards: what a phone asks when somebody holds it to a tag.

It tells nothing of a person without a token that may see the books. A browser is answered with a
page, a program with JSON.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from cloud.cards.counters import TagCounters
from cloud.cards.documents import TagDocument
from cloud.cards.model import TagMessages
from cloud.cards.store import card_of
from cloud.console.shell import Shell
from cloud.errors import StorageDown, TagCopied
from cloud.http.errors import BadField, NotAllowed, NotAuthenticated, responses, status_of
from cloud.http.identity import Permission
from protocol.errors import ProductError, SunRefused

PATH = "/v1/sun"

_Part = Annotated[str, Query(max_length=64, description="As the tag wrote it.")]


class TagDesk(NamedTuple):
    """What the route needs. ``messages`` None: this cloud has no estate's key."""

    messages: TagMessages | None
    counters: TagCounters
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
    def message(request: Request, s: _Part, p: _Part, e: _Part, m: _Part) -> Response:
        try:
            found = _found(request, shell, desk)
        except ProductError as error:
            if not _is_browser(request):
                raise
            return shell.page(request, "cards/tag.html", {"error": error}, status_of(error))
        if _is_browser(request):
            return shell.page(request, "cards/tag.html", {"error": None})
        return JSONResponse(found.model_dump(), HTTPStatus.OK)

    return api


def _found(request: Request, shell: Shell, desk: TagDesk) -> TagDocument:
    """Verify, count, and look for the owner if the caller may know; a bad token counts nothing."""
    backend = shell.backend
    knows = "authorization" in request.headers
    if knows:
        backend.guard.admit(request, Permission.BOOKS)
    if desk.messages is None:
        raise SunRefused("no estate's key in cloud.toml")
    read = desk.messages.read(b"?" + request.scope["query_string"])
    desk.counters.admit(read)
    if not knows:
        return TagDocument(tenant=desk.tenant)
    with backend.database.read() as connection:
        card = card_of(connection, read.uid)
    if card is None:
        return TagDocument(tenant=desk.tenant)
    member, state = card
    return TagDocument(tenant=desk.tenant, member=member, state=state.name.lower())


def _is_browser(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")
