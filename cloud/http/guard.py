"""Stands before every route: the API's callers by token, the console's by session.

Who they are and what they may is left to identity.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer

from cloud.http.errors import BadField, CrossSite, NotAllowed, NotAuthenticated, responses
from cloud.http.identity import (
    GRANTS,
    SESSION_COOKIE,
    Caller,
    Credentials,
    Permission,
    Sessions,
    digest_of,
)

_BEARER = HTTPBearer(auto_error=False, description="A token from `token create --role ROLE`.")


def needs(permission: Permission) -> dict[str, Any]:
    """The ``openapi_extra`` of a route of the API: what enforces it is what documents it."""
    roles = sorted(role for role, granted in GRANTS.items() if permission in granted)
    return {"x-permission": permission.value, "x-roles": roles}


class GuardedRoute(APIRoute):
    """A route that reads nothing of a request before its caller is known and allowed.

    A route that does not say what it ``needs`` fails at start (KeyError), not in production.
    """

    credentials: ClassVar[Credentials]

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See APIRoute."""
        handler = super().get_route_handler()
        permission = Permission((self.openapi_extra or {})["x-permission"])

        async def guarded(request: Request) -> Response:
            caller = await run_in_threadpool(bearer_of, request, self.credentials)
            request.state.caller = _allowed(caller, permission)
            return await handler(request)

        return guarded


def bearer_of(request: Request, credentials: Credentials) -> Caller | None:
    """Who sent a request, by its bearer token (RFC 6750, section 2.1); None without a valid one."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return credentials.by_token(digest_of(token)) if scheme.lower() == "bearer" else None


class Guard:
    """Makes routers whose routes are closed, and tells console pages who is looking."""

    def __init__(self, credentials: Credentials, sessions: Sessions) -> None:
        self._credentials = credentials
        self._route = type("Route", (GuardedRoute,), {"credentials": credentials})
        self.sessions = sessions

    def router(self, tag: str) -> APIRouter:
        """A router of the API for one subject."""
        return APIRouter(
            prefix="/v1",
            tags=[tag],
            route_class=self._route,
            dependencies=[Depends(_BEARER)],
            responses=responses(NotAuthenticated, NotAllowed, BadField),
        )

    def admit(self, request: Request, permission: Permission) -> Caller:
        """Who sent a request of an open route; NotAuthenticated or NotAllowed."""
        return _allowed(bearer_of(request, self._credentials), permission)

    def page(self, request: Request, permission: Permission) -> Caller:
        """Who looks at a console page; a changing request must come from the console itself."""
        if request.method not in ("GET", "HEAD"):
            check_same_origin(request)
        caller = self.sessions.caller(request.cookies.get(SESSION_COOKIE, ""))
        return _allowed(caller, permission)


def current(request: Request) -> Caller:
    """Who sent a request that GuardedRoute let through."""
    caller: Caller = request.state.caller
    return caller


def check_same_origin(request: Request) -> None:
    """CrossSite unless the browser says that a page of ours sent the request.

    Fetch Metadata (W3C), with Origin (RFC 6454) for browsers that do not send it; a request with
    neither is not a browser's form.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        if site not in ("same-origin", "none"):
            raise CrossSite
    elif (origin := request.headers.get("origin")) is not None:
        host = request.headers.get("host", "")
        if origin not in (f"http://{host}", f"https://{host}"):
            raise CrossSite


def _allowed(caller: Caller | None, permission: Permission) -> Caller:
    if caller is None:
        raise NotAuthenticated
    if not caller.may(permission):
        raise NotAllowed(f"role {caller.role}")
    return caller
