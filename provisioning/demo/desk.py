"""A page with the demo's cards and terminals, on which a click holds a card to a reader.

A member's phone has a page of its own with the code that it shows.

What holding means is left to the caller.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import segno
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.middleware.trustedhost import TrustedHostMiddleware

from protocol.errors import ProductError
from provisioning.errors import ProvisioningError

PAGE = Path(__file__).with_name("desk.html")
PHONE_PAGE = Path(__file__).with_name("phone.html")
# The names under which a browser on this machine asks; the port is checked with the origin.
_HOSTS = ["127.0.0.1", "localhost"]
_STATUS = {"foreign_page": 403, "no_such_card": 404}


class ForeignPage(ProvisioningError):
    """A tap that another page asked for."""

    code = "foreign_page"
    what = "Only the card desk's own page taps cards"
    kept = "No card was moved."
    todo = "Open the card desk under the address that the demo printed."


class NoSuchCard(ProvisioningError):
    """A card or terminal that the demo does not have."""

    code = "no_such_card"
    what = "The demo has no such card or terminal"
    kept = "No card was moved."
    todo = "Reload the page: the demo was started anew."


class Tap(BaseModel):
    """Which card to hold to which terminal."""

    model_config = ConfigDict(extra="forbid", strict=True)

    card: str
    terminal: str


def create_desk(
    cards: Mapping[str, str],
    terminals: Mapping[str, str],
    tap: Callable[[str, str], None],
    phones: Mapping[str, Callable[[], str]],
) -> FastAPI:
    """Return the card desk.

    ``cards``: name -> member, empty for a card of nobody; ``terminals``: name -> address of its
    kiosk page. ``tap(card, terminal)`` returns when the card was taken away again. ``phones``:
    those of ``cards`` that are one -> what gives the text of a new code.
    """
    html = PAGE.read_text(encoding="utf-8")
    app = FastAPI(title="card desk", openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=_HOSTS)

    @app.exception_handler(ProductError)
    async def product_error(_: Request, error: ProductError) -> Response:
        form = {name: getattr(error, name) for name in ("code", "what", "kept", "todo", "detail")}
        return JSONResponse(form, _STATUS.get(error.code, 500))

    @app.get("/")
    async def page() -> Response:
        return HTMLResponse(html, headers=_headers(html))

    @app.get("/desk.json")
    async def contents() -> dict[str, list[dict[str, str]]]:
        return {
            "cards": [
                {"name": name, "member": member, "phone": f"phones/{name}" * (name in phones)}
                for name, member in cards.items()
            ],
            "terminals": [{"name": name, "kiosk": url} for name, url in terminals.items()],
        }

    @app.post("/tap", status_code=204)
    def hold(wanted: Tap, request: Request) -> None:
        if request.headers.get("origin") != f"http://{request.headers['host']}":
            raise ForeignPage
        if wanted.card not in cards or wanted.terminal not in terminals:
            raise NoSuchCard(f"{wanted.card[:40]} at {wanted.terminal[:40]}")
        tap(wanted.card, wanted.terminal)

    app.include_router(_phones(phones))
    return app


def _phones(phones: Mapping[str, Callable[[], str]]) -> APIRouter:
    """The pages of phones, and the pictures on them."""
    html = PHONE_PAGE.read_text(encoding="utf-8")
    pages = APIRouter()

    @pages.get("/phones/{name}")
    async def phone(name: str) -> Response:
        if name not in phones:
            raise NoSuchCard(name[:40])
        return HTMLResponse(html, headers=_headers(html))

    @pages.get("/phones/{name}/code.svg")
    def code(name: str) -> Response:
        if name not in phones:
            raise NoSuchCard(name[:40])
        picture = BytesIO()
        segno.make_qr(phones[name](), error="m").save(picture, "svg", omitsize=True, border=4)
        headers = {"Cache-Control": "no-store"}
        return Response(picture.getvalue(), media_type="image/svg+xml", headers=headers)

    return pages


def _headers(html: str) -> dict[str, str]:
    return {"Content-Security-Policy": _policy(html), "X-Content-Type-Options": "nosniff"}


def _policy(html: str) -> str:
    """Allow exactly the page's own script and style (CSP level 3, hash sources)."""

    def source(tag: str) -> str:
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"

    return (
        f"default-src 'none'; script-src {source('script')}; style-src {source('style')}; "
        "connect-src 'self'; img-src data: blob:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'"
    )
