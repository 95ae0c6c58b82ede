"""What every answer carries and every request must fit: security headers and a limit of size."""

from __future__ import annotations

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud.http.errors import BodyTooLarge, document, status_of

# The largest body is a bundle of some thousand products; a batch of records never comes this way.
BODY_BYTES_MAX = 1024 * 1024
# Nothing of ours is loaded from elsewhere, and no page carries a script or style in itself.
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Cache-Control": "no-store",
}


class Envelope:
    """ASGI middleware around the application; an answer's own headers win."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > BODY_BYTES_MAX:
                raise HTTPException(BODY_TOO_LARGE)
            return message

        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdecimal() and int(declared) <= BODY_BYTES_MAX:
            await self._app(scope, counted, headed)
            return
        error = BodyTooLarge(f"at most {BODY_BYTES_MAX} bytes")
        await JSONResponse(document(error), BODY_TOO_LARGE)(scope, receive, headed)


BODY_TOO_LARGE = int(status_of(BodyTooLarge()))
