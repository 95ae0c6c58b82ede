"""HTTP API of the ledger: records with their proof, what is kept apart, and what is taken."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy import Connection

from cloud.errors import NotAcceptable, NotKeptApart, UnknownRecord
from cloud.http.backend import Backend
from cloud.http.document import PAGE_DEFAULT, Limit, TerminalPath
from cloud.http.errors import BODY_ERRORS, responses
from cloud.http.guard import needs
from cloud.http.idempotency import Once
from cloud.http.identity import Permission
from cloud.ledger import proof, search
from cloud.ledger.documents import (
    Quarantine,
    RecordDocument,
    Records,
    TakeRecord,
    quarantine_line,
    record_document,
    record_line,
)
from cloud.ledger.judgement import take
from cloud.storage.rows import Settlement
from protocol.record import Kind

KINDS = {kind.name.lower(): kind for kind in Kind}

Number = Annotated[int, Path(ge=1, lt=1 << 53, description="As the receipt says it.")]
_Narrow = Annotated[str, Query(max_length=40, description="Exactly this one.")]


def router(backend: Backend, currency: str) -> APIRouter:
    """The routes of records."""
    api = backend.guard.router("ledger")
    _reading(api, backend)
    _judging(api, backend, currency)
    return api


def _reading(api: APIRouter, backend: Backend) -> None:
    @api.get(
        "/records",
        summary="Find records, newest first",
        openapi_extra=needs(Permission.BOOKS),
    )
    def listing(
        terminal: _Narrow = "",
        member: _Narrow = "",
        kind: Annotated[
            str, Query(pattern=f"^({'|'.join(KINDS)})?$", description="What happened.")
        ] = "",
        text: Annotated[
            str, Query(max_length=64, description="A receipt number or a transaction id.")
        ] = "",
        limit: Limit = PAGE_DEFAULT,
    ) -> Records:
        query = search.Query(terminal, member, KINDS.get(kind), text)
        with backend.database.read() as connection:
            found = search.find(connection, query, limit)
        return Records(records=[record_line(each) for each in found])

    @api.get(
        "/records/{terminal}/{epoch}/{seq}",
        summary="One record with its proof",
        description=RecordDocument.__doc__ or "",
        openapi_extra=needs(Permission.BOOKS),
        responses=responses(UnknownRecord),
    )
    def one(terminal: TerminalPath, epoch: Number, seq: Number) -> RecordDocument:
        with backend.database.read() as connection:
            return record_document(proof.proof(connection, terminal, epoch, seq))

    @api.get(
        "/quarantine",
        summary="What the ledger keeps apart, newest first",
        openapi_extra=needs(Permission.BOOKS),
    )
    def quarantine(limit: Limit = PAGE_DEFAULT) -> Quarantine:
        with backend.database.read() as connection:
            rows = proof.quarantined(connection, limit)
        return Quarantine(quarantine=[quarantine_line(row) for row in rows])


def _judging(api: APIRouter, backend: Backend, currency: str) -> None:
    @api.post(
        "/quarantine/{terminal}/{epoch}/{seq}/accept",
        summary="Book a record that is kept apart",
        description="Whether its epoch was closed counts no more; all else that speaks against it "
        "does. Who took it, when and why stays beside it.",
        response_model=RecordDocument,
        openapi_extra=needs(Permission.OPERATE),
        responses=responses(UnknownRecord, NotKeptApart, NotAcceptable, *BODY_ERRORS),
    )
    def accept(
        terminal: TerminalPath, epoch: Number, seq: Number, body: TakeRecord, once: Once
    ) -> Response:
        def act(connection: Connection) -> RecordDocument:
            settlement = Settlement(backend.clock_ms(), once.caller.label, body.note)
            return record_document(take(connection, currency, terminal, epoch, seq, settlement))

        return once.write(backend, act, HTTPStatus.OK, backend.line.members_changed)
