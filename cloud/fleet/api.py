"""HTTP API of terminals: enrol, open an epoch, revoke, command, look."""

from __future__ import annotations

from http import HTTPStatus
from typing import NamedTuple

from fastapi import APIRouter, Response
from sqlalchemy import Connection

from cloud.errors import TerminalExists, TerminalRevoked, UnknownTerminal
from cloud.fleet import store
from cloud.fleet.documents import (
    CommandDocument,
    Granted,
    NewCommand,
    NewDesired,
    NewEpoch,
    NewTerminal,
    TerminalDocument,
    Terminals,
    terminal_document,
)
from cloud.fleet.model import Enrolment, enrolment, order_to
from cloud.http.backend import Backend
from cloud.http.document import TerminalPath, base64_text
from cloud.http.errors import BODY_ERRORS, KeyReused, responses
from cloud.http.guard import needs
from cloud.http.idempotency import Once
from cloud.http.identity import Permission
from protocol import command
from protocol.command import Verb
from protocol.errors import Malformed
from protocol.signing import SigningKey


class Keys(NamedTuple):
    """The tenant, what signs for it, and the public keys that its terminals are to trust."""

    tenant: str
    signer: SigningKey
    cloud: tuple[str, ...]
    rules: tuple[str, ...]


def router(backend: Backend, keys: Keys) -> APIRouter:
    """The routes of terminals."""
    api = backend.guard.router("terminals")
    _reading(api, backend)
    _enrolling(api, backend, keys)
    _operating(api, backend, keys)
    _desiring(api, backend)
    return api


def _reading(api: APIRouter, backend: Backend) -> None:
    @api.get("/terminals", summary="All terminals", openapi_extra=needs(Permission.FLEET))
    def listing() -> Terminals:
        now_ms = backend.clock_ms()
        with backend.database.read() as connection:
            found = store.all_terminals(connection)
        return Terminals(terminals=[terminal_document(each, now_ms) for each in found])

    @api.get(
        "/terminals/{terminal}",
        summary="One terminal",
        openapi_extra=needs(Permission.FLEET),
        responses=responses(UnknownTerminal),
    )
    def one(terminal: TerminalPath) -> TerminalDocument:
        with backend.database.read() as connection:
            found = store.terminal(connection, terminal)
        return terminal_document(found, backend.clock_ms())


def _enrolling(api: APIRouter, backend: Backend, keys: Keys) -> None:
    def granted(new: Enrolment) -> Granted:
        return Granted(
            terminal=new.terminal,
            site=new.site,
            epoch=new.epoch,
            grant=base64_text(new.grant_data),
            cloud_keys=keys.cloud,
            rules_keys=keys.rules,
        )

    @api.post(
        "/terminals",
        summary="Enrol a terminal and grant its first epoch",
        status_code=HTTPStatus.CREATED,
        response_model=Granted,
        openapi_extra=needs(Permission.ENROL),
        responses=responses(TerminalExists, Malformed, *BODY_ERRORS),
    )
    def enrol(body: NewTerminal, once: Once) -> Response:
        def act(connection: Connection) -> Granted:
            public = body.algorithm, body.public_key
            now_ms = backend.clock_ms()
            new = enrolment(keys.tenant, body.site, body.terminal, 1, public, now_ms, keys.signer)
            store.enrol(connection, new)
            return granted(new)

        changed = backend.line.terminal_changed
        return once.write(backend, act, HTTPStatus.CREATED, lambda: changed(body.terminal))

    @api.post(
        "/terminals/{terminal}/epochs",
        summary="Grant the next epoch, to the same key or a new one",
        description="For a terminal whose journal or key is lost, or that was cloned.",
        status_code=HTTPStatus.CREATED,
        response_model=Granted,
        openapi_extra=needs(Permission.ENROL),
        responses=responses(UnknownTerminal, TerminalRevoked, Malformed, *BODY_ERRORS),
    )
    def open_epoch(terminal: TerminalPath, body: NewEpoch, once: Once) -> Response:
        def act(connection: Connection) -> Granted:
            known = store.terminal(connection, terminal)
            public = body.algorithm, body.public_key
            epoch, now_ms = known.epoch + 1, backend.clock_ms()
            new = enrolment(keys.tenant, known.site, terminal, epoch, public, now_ms, keys.signer)
            store.open_epoch(connection, new, trusted=body.trusted)
            return granted(new)

        changed = backend.line.terminal_changed
        return once.write(backend, act, HTTPStatus.CREATED, lambda: changed(terminal))


def _operating(api: APIRouter, backend: Backend, keys: Keys) -> None:
    @api.post(
        "/terminals/{terminal}/revoke",
        summary="Let a terminal hand in its journal, and nothing else",
        response_model=TerminalDocument,
        openapi_extra=needs(Permission.OPERATE),
        responses=responses(UnknownTerminal, KeyReused),
    )
    def revoke(terminal: TerminalPath, once: Once) -> Response:
        def act(connection: Connection) -> TerminalDocument:
            store.revoke(connection, terminal, backend.clock_ms())
            return terminal_document(store.terminal(connection, terminal), backend.clock_ms())

        changed = backend.line.terminal_changed
        return once.write(backend, act, HTTPStatus.OK, lambda: changed(terminal))

    @api.post(
        "/terminals/{terminal}/commands",
        summary="Send a terminal a signed command",
        description="Carried out at most once, and not at all when it arrives too late.",
        status_code=HTTPStatus.CREATED,
        response_model=CommandDocument,
        openapi_extra=needs(Permission.OPERATE),
        responses=responses(UnknownTerminal, *BODY_ERRORS),
    )
    def order(terminal: TerminalPath, body: NewCommand, once: Once) -> Response:
        signed = b""

        def act(connection: Connection) -> CommandDocument:
            nonlocal signed
            sent, signed = send_command(
                connection, backend, keys.signer, terminal, body.verb, once.caller.label
            )
            return CommandDocument(
                id=sent.id.hex(), terminal=terminal, verb=sent.verb, not_after_ms=sent.not_after_ms
            )

        return once.write(
            backend, act, HTTPStatus.CREATED, lambda: backend.line.command(terminal, signed)
        )


def _desiring(api: APIRouter, backend: Backend) -> None:
    @api.put(
        "/terminals/{terminal}/desired",
        summary="Say what a terminal should do from now on",
        description="It takes effect when the terminal is online, and `has_settled` tells of it.",
        response_model=TerminalDocument,
        openapi_extra=needs(Permission.OPERATE),
        responses=responses(UnknownTerminal, *BODY_ERRORS),
    )
    def desire(terminal: TerminalPath, body: NewDesired, once: Once) -> Response:
        def act(connection: Connection) -> TerminalDocument:
            wanted = store.desire(connection, terminal, body.status_every_s)
            return terminal_document(wanted, backend.clock_ms())

        changed = backend.line.terminal_changed
        return once.write(backend, act, HTTPStatus.OK, lambda: changed(terminal))


def send_command(
    connection: Connection,
    backend: Backend,
    signer: SigningKey,
    terminal: str,
    verb: Verb,
    operator: str,
) -> tuple[command.Command, bytes]:
    """Sign and keep a command; the caller hands its bytes to the line after the commit."""
    store.terminal(connection, terminal)
    now_ms = backend.clock_ms()
    order = order_to(terminal, verb, operator, backend.random(16), now_ms)
    signed = command.issue(order, signer)
    store.add_command(connection, order, signed, now_ms)
    return order, signed
