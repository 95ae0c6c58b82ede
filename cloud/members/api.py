"""HTTP API of members: who they are, what they hold, their statement, their cards."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy import Connection

from cloud.errors import CardCancelled, CardExists, MemberExists, UnknownCard, UnknownMember
from cloud.http.backend import Backend
from cloud.http.document import PAGE_DEFAULT, Limit, MemberPath
from cloud.http.errors import BODY_ERRORS, responses
from cloud.http.guard import needs
from cloud.http.idempotency import Once
from cloud.http.identity import Permission
from cloud.ledger.statement import Mark, statement
from cloud.members import store
from cloud.members.documents import (
    CARD_STATES,
    BalanceDocument,
    CardDocument,
    CardStep,
    MemberDocument,
    Members,
    NewCard,
    NewMember,
    Statement,
    balance_document,
    card_document,
    member_document,
    member_line,
    statement_entry,
)
from cloud.members.model import MemberCard
from protocol.member_list import CardState

# 64 bits: a billion members meet by chance in one case of forty.
_ID_BYTES = 8

_Reference = Annotated[
    str, Path(pattern="^[0-9a-f]{32}$", description="The card's reference, hex.")
]
_Before = Annotated[
    str | None,
    Query(pattern=r"^[0-9]{1,15}-[0-9]{1,18}$", description="`next` of the page before."),
]


def router(backend: Backend) -> APIRouter:
    """The routes of members and cards."""
    api = backend.guard.router("members")
    _reading(api, backend)
    _statements(api, backend)
    _joining(api, backend)
    _cards(api, backend)
    return api


def _reading(api: APIRouter, backend: Backend) -> None:
    @api.get("/members", summary="Members by id", openapi_extra=needs(Permission.BOOKS))
    def listing(
        after: Annotated[str, Query(max_length=40, description="`next` of the page before.")] = "",
        search: Annotated[str, Query(max_length=64, description="Part of id or name.")] = "",
        limit: Limit = PAGE_DEFAULT,
    ) -> Members:
        with backend.database.read() as connection:
            found = store.all_members(connection, after, search, limit + 1)
        more = len(found) > limit
        return Members(
            members=[member_line(member) for member in found[:limit]],
            next=found[limit - 1].member if more else None,
        )

    @api.get(
        "/members/{member}",
        summary="One member with account and cards",
        openapi_extra=needs(Permission.BOOKS),
        responses=responses(UnknownMember),
    )
    def one(member: MemberPath) -> MemberDocument:
        with backend.database.read() as connection:
            found = store.member(connection, member)
            return member_document(found, store.cards_of(connection, member))

    @api.get(
        "/members/{member}/balance",
        summary="What a member's account holds",
        openapi_extra=needs(Permission.BOOKS),
        responses=responses(UnknownMember),
    )
    def balance(member: MemberPath) -> BalanceDocument:
        with backend.database.read() as connection:
            return balance_document(store.member(connection, member))


def _statements(api: APIRouter, backend: Backend) -> None:
    @api.get(
        "/members/{member}/statement",
        summary="A member's records with running balances, newest first",
        openapi_extra=needs(Permission.BOOKS),
        responses=responses(UnknownMember),
    )
    def lines(member: MemberPath, before: _Before = None, limit: Limit = PAGE_DEFAULT) -> Statement:
        with backend.database.read() as connection:
            store.member(connection, member)
            found = statement(connection, member, mark_of(before), limit + 1)
        return Statement(
            member=member,
            lines=[statement_entry(line) for line in found[:limit]],
            next=mark_text(found[limit - 1].mark) if len(found) > limit else None,
        )


def mark_text(mark: Mark) -> str:
    """How a place in a statement stands in an address."""
    return f"{mark[0]}-{mark[1]}"


def mark_of(text: str | None) -> Mark | None:
    """The place that ``mark_text`` wrote."""
    if text is None:
        return None
    occurred_ms, _, place = text.partition("-")
    return int(occurred_ms), int(place)


def _joining(api: APIRouter, backend: Backend) -> None:
    @api.post(
        "/members",
        summary="Register a member",
        status_code=HTTPStatus.CREATED,
        response_model=MemberDocument,
        openapi_extra=needs(Permission.ENROL),
        responses=responses(MemberExists, *BODY_ERRORS),
    )
    def join(body: NewMember, once: Once) -> Response:
        def act(connection: Connection) -> MemberDocument:
            member = body.member or f"m-{backend.random(_ID_BYTES).hex()}"
            store.add_member(connection, member, body.name, backend.clock_ms())
            return member_document(store.member(connection, member), [])

        return once.write(backend, act, HTTPStatus.CREATED, backend.line.members_changed)


def _issued(body: NewCard, now_ms: int) -> MemberCard:
    return MemberCard(
        body.reference,
        body.member,
        body.family,
        body.card_type,
        CardState.ACTIVE,
        created_ms=now_ms,
        changed_ms=now_ms,
        number=body.number,
    )


def _cards(api: APIRouter, backend: Backend) -> None:
    @api.post(
        "/cards",
        summary="Register a personalised card for a member",
        status_code=HTTPStatus.CREATED,
        response_model=CardDocument,
        openapi_extra=needs(Permission.ENROL),
        responses=responses(CardExists, UnknownMember, *BODY_ERRORS),
    )
    def issue(body: NewCard, once: Once) -> Response:
        def act(connection: Connection) -> CardDocument:
            card = _issued(body, backend.clock_ms())
            store.add_card(connection, card)
            return card_document(card)

        return once.write(backend, act, HTTPStatus.CREATED, backend.line.members_changed)

    @api.get(
        "/cards/{reference}",
        summary="One card",
        openapi_extra=needs(Permission.FLEET),
        responses=responses(UnknownCard),
    )
    def one(reference: _Reference) -> CardDocument:
        with backend.database.read() as connection:
            return card_document(store.card(connection, bytes.fromhex(reference)))

    @api.patch(
        "/cards/{reference}",
        summary="Freeze, lose, cancel or free a card",
        response_model=CardDocument,
        openapi_extra=needs(Permission.OPERATE),
        responses=responses(UnknownCard, CardCancelled, *BODY_ERRORS),
    )
    def step(reference: _Reference, body: CardStep, once: Once) -> Response:
        def act(connection: Connection) -> CardDocument:
            state, now_ms = CARD_STATES[body.state], backend.clock_ms()
            card = bytes.fromhex(reference)
            return card_document(store.set_card_state(connection, card, state, now_ms))

        return once.write(backend, act, HTTPStatus.OK, backend.line.members_changed)
