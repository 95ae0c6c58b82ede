"""HTTP API of price and rule bundles: publish, list, read."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Path, Response
from sqlalchemy import Connection

from cloud.errors import BundleExists, UnknownBundle
from cloud.http.backend import Backend
from cloud.http.errors import BODY_ERRORS, responses
from cloud.http.guard import needs
from cloud.http.idempotency import Once
from cloud.http.identity import Permission
from cloud.rules import store
from cloud.rules.documents import (
    BundleDocument,
    Bundles,
    NewBundle,
    bundle_document,
    bundle_line,
)
from cloud.rules.model import Draft, Release
from cloud.rules.release import release
from protocol.errors import BadAmount, BadBundle, Malformed, UnknownProduct
from protocol.signing import SigningKey

Number = Annotated[int, Path(ge=1, lt=1 << 53, description="The bundle's number.")]


class Publisher(NamedTuple):
    """Whose bundles these are, and the key that their terminals trust for prices."""

    tenant: str
    currency: str
    signer: SigningKey


def router(backend: Backend, publisher: Publisher) -> APIRouter:
    """The routes of bundles."""
    api = backend.guard.router("bundles")
    _reading(api, backend)

    @api.post(
        "/bundles",
        summary="Publish prices and rules to every terminal",
        description="Checked whole, golden vectors included, before it is signed.",
        status_code=HTTPStatus.CREATED,
        response_model=BundleDocument,
        openapi_extra=needs(Permission.PUBLISH),
        responses=responses(
            *(BundleExists, BadBundle, UnknownProduct, BadAmount, Malformed),
            *BODY_ERRORS,
        ),
    )
    def publish(body: NewBundle, once: Once) -> Response:
        def act(connection: Connection) -> BundleDocument:
            author = once.caller.label
            new = add(connection, backend, publisher, body.draft(publisher.currency), author)
            return bundle_document(new, *_now(connection, backend))

        return once.write(backend, act, HTTPStatus.CREATED, backend.line.bundle_published)

    return api


def add(
    connection: Connection, backend: Backend, publisher: Publisher, draft: Draft, author: str
) -> Release:
    """Check, sign and keep ``draft``; the caller tells the line after the commit."""
    if draft.currency != publisher.currency:
        raise BadBundle(f"currency {draft.currency}, the tenant's is {publisher.currency}")
    newest = store.newest_number(connection)
    published = release(draft, publisher.tenant, newest, publisher.signer)
    return store.add_bundle(connection, published, author, backend.clock_ms())


def _reading(api: APIRouter, backend: Backend) -> None:
    @api.get("/bundles", summary="All bundles", openapi_extra=needs(Permission.FLEET))
    def listing() -> Bundles:
        with backend.database.read() as connection:
            now = _now(connection, backend)
            found = store.all_bundles(connection)
        return Bundles(bundles=[bundle_line(each, *now) for each in found])

    @api.get(
        "/bundles/{number}",
        summary="One bundle with its content and signed bytes",
        openapi_extra=needs(Permission.FLEET),
        responses=responses(UnknownBundle),
    )
    def one(number: Number) -> BundleDocument:
        with backend.database.read() as connection:
            now = _now(connection, backend)
            return bundle_document(store.bundle(connection, number), *now)


def _now(connection: Connection, backend: Backend) -> tuple[int, int]:
    """Number of the bundle in force (0 = none), and the time."""
    now_ms = backend.clock_ms()
    current = store.in_force(connection, now_ms)
    return (current.number if current else 0), now_ms
