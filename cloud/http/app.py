"""Puts routers together into one application: errors, headers, limits, health and metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

import structlog
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.routing import APIRoute
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp

from cloud.http.envelope import Envelope
from cloud.http.errors import (
    BadJson,
    BodyTooLarge,
    Internal,
    NoSuchPage,
    NotAllowed,
    NotAuthenticated,
    NotReady,
    WrongMethod,
    document,
    fault_of,
    responses,
    status_of,
)
from cloud.http.guard import Guard, needs
from cloud.http.identity import Permission
from protocol.errors import ProductError

DESCRIPTION = """\
Membership on NFC, IC and e-cards. Every request carries `Authorization: Bearer TOKEN`; what each
role may do stands at each request. Amounts are minor units (fen, cents), times are UTC.

Every error is `{"code", "what", "kept", "todo", "detail"}`: compare `code`, show the rest.
A POST may carry `Idempotency-Key`: sent again with the same key and body it gets the first answer.
"""

ErrorPage = Callable[[Request, ProductError], Response]
log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the application is made of.

    ``readiness`` tells for each part that the cloud needs whether it is there. ``error_page``
    renders an error for a person, for addresses below ``pages``.
    """

    guard: Guard
    routers: Sequence[APIRouter]
    static: Mapping[str, ASGIApp] = field(default_factory=dict)
    readiness: Callable[[], Mapping[str, bool]]
    registry: CollectorRegistry
    version: str
    pages: str
    error_page: ErrorPage


def create_app(parts: Parts) -> FastAPI:
    """Return the application; the same parts may serve several."""
    app = FastAPI(
        title="tapledger",
        version=parts.version,
        description=DESCRIPTION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    routers = (*parts.routers, _health(parts), _openapi(parts, app))
    for router in routers:
        app.include_router(router)
    for path, files in parts.static.items():
        app.mount(path, files)
    _handle_errors(app, parts, routers)
    app.add_middleware(Envelope)
    return app


def _health(parts: Parts) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/healthz", summary="Whether the program runs")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz", summary="Whether every part is there", responses=responses(NotReady))
    def readyz() -> dict[str, bool]:
        found = dict(parts.readiness())
        if not all(found.values()):
            raise NotReady(", ".join(sorted(name for name, there in found.items() if not there)))
        return found

    @router.get(
        "/metrics",
        summary="Figures for Prometheus",
        description="Open on loopback; from elsewhere and behind a proxy it needs a token.",
        response_class=PlainTextResponse,
        responses=responses(NotAuthenticated, NotAllowed),
    )
    def metrics(request: Request) -> Response:
        if not _is_local(request):
            parts.guard.admit(request, Permission.FLEET)
        return Response(generate_latest(parts.registry), media_type=CONTENT_TYPE_LATEST)

    return router


def _is_local(request: Request) -> bool:
    forwarded = {"forwarded", "x-forwarded-for", "x-real-ip"} & set(request.headers)
    client = request.client
    return not forwarded and client is not None and client.host in ("127.0.0.1", "::1")


def _openapi(parts: Parts, app: FastAPI) -> APIRouter:
    router = parts.guard.router("documentation")

    @router.get(
        "/openapi.json",
        summary="This description",
        openapi_extra=needs(Permission.FLEET),
        response_class=JSONResponse,
    )
    def openapi() -> JSONResponse:
        return JSONResponse(app.openapi())

    return router


def _handle_errors(app: FastAPI, parts: Parts, routers: Sequence[APIRouter]) -> None:
    def answer(request: Request, error: ProductError) -> Response:
        if request.url.path.startswith(parts.pages):
            return parts.error_page(request, error)
        headers = {"WWW-Authenticate": "Bearer"} if error.code == "not_authenticated" else None
        return JSONResponse(document(error), status_of(error), headers=headers)

    def product(request: Request, error: Exception) -> Response:
        known = error if isinstance(error, ProductError) else Internal()
        if status_of(known) >= 500:
            log.error("request_failed", path=request.url.path, code=known.code, exc_info=error)
        return answer(request, known)

    def invalid(request: Request, error: Exception) -> Response:
        faults = error.errors() if isinstance(error, RequestValidationError) else ()
        return answer(request, fault_of(faults))

    def http(request: Request, error: Exception) -> Response:
        answered = answer(request, _of_status(error))
        if answered.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            answered.headers["Allow"] = ", ".join(sorted(_methods(request, routers)))
        return answered

    app.add_exception_handler(ProductError, product)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, product)


def _methods(request: Request, routers: Sequence[APIRouter]) -> set[str]:
    """Every method of this address, also when several routes share it (RFC 9110, 15.5.6)."""
    routes = [route for router in routers for route in router.routes]
    return {
        method
        for route in routes
        if isinstance(route, APIRoute) and route.matches(request.scope)[0] is not Match.NONE
        for method in route.methods or ()
    }


def _of_status(error: Exception) -> ProductError:
    status = error.status_code if isinstance(error, HTTPException) else 500
    kinds: dict[int, type[ProductError]] = {
        400: BadJson,
        404: NoSuchPage,
        405: WrongMethod,
        413: BodyTooLarge,
    }
    return kinds.get(status, Internal)()
