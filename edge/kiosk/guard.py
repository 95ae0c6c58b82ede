"""Who may speak to the terminal's server, and what every answer tells the browser.

A browser on the terminal may be lured to a foreign page: that page must not order, cancel or read.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.errors import ForeignPage
from edge.kiosk.errors import refusal
from protocol.errors import ProductError, TooLarge

# Names of this machine for itself: the server listens on no other address.
_LOOPBACK = frozenset(("127.0.0.1", "localhost"))
# The largest order has 50 items of about 80 bytes.
BODY_BYTES_MAX = 16 * 1024

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def check_origin(headers: Headers) -> None:
    """ForeignPage unless the browser says that our own page sent the request."""
    origin = headers.get("origin", "")
    if origin != f"http://{headers.get('host', '')}":
        raise ForeignPage(f"origin {origin[:60] or 'missing'}")


class Guard:
    """ASGI middleware: refuses what names another host or is too large, and sets the headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        answerer = self._app
        if scope["type"] == "http":
            try:
                _check_host(Headers(scope=scope))
                _check_size(Headers(scope=scope))
            except ProductError as error:
                answerer = refusal(error)
        await answerer(scope, receive, send_with_headers)


def _check_host(headers: Headers) -> None:
    """A page that had its own name point here (DNS rebinding) still sends that name."""
    try:
        host = urlsplit(f"//{headers.get('host', '')}").hostname
    except ValueError:
        host = None
    if host not in _LOOPBACK:
        raise ForeignPage(f"host {str(host)[:60]}")


def _check_size(headers: Headers) -> None:
    length = headers.get("content-length", "0")
    if "transfer-encoding" in headers or not length.isdecimal() or int(length) > BODY_BYTES_MAX:
        raise TooLarge(f"a body has a length of at most {BODY_BYTES_MAX} bytes")
