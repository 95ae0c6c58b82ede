"""Serves the console's static files; those with a version in their address never change."""

from __future__ import annotations

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from cloud.console.shell import STATIC

_KEPT = "public, max-age=31536000, immutable"


class VersionedFiles(StaticFiles):
    """Static files that a browser keeps for a year when the address names their version."""

    def __init__(self) -> None:
        super().__init__(directory=STATIC)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """See StaticFiles."""
        response = await super().get_response(path, scope)
        if scope["query_string"].startswith(b"v="):
            response.headers["Cache-Control"] = _KEPT
        return response
