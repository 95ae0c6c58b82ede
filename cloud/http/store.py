"""Tokens, sessions and answered requests in the database; secrets are there as hashes only."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, delete, insert, select, update

from cloud.errors import UnknownToken
from cloud.http.identity import Caller, Role
from cloud.storage.engine import Database
from cloud.storage.schema import api_tokens, idempotency, sessions

_CALLER = (api_tokens.c.id, api_tokens.c.label, api_tokens.c.role)


class StoredCredentials:
    """See cloud.http.identity.Credentials."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def by_token(self, digest: bytes) -> Caller | None:
        """See Credentials."""
        query = select(*_CALLER).where(api_tokens.c.hash == digest, api_tokens.c.revoked_ms == 0)
        with self._database.read() as connection:
            return _caller(connection.execute(query).one_or_none())

    def by_session(self, digest: bytes, now_ms: int) -> Caller | None:
        """See Credentials."""
        query = select(*_CALLER).select_from(api_tokens.join(sessions))
        query = query.where(
            sessions.c.hash == digest,
            sessions.c.expires_ms > now_ms,
            api_tokens.c.revoked_ms == 0,
        )
        with self._database.read() as connection:
            return _caller(connection.execute(query).one_or_none())

    def open_session(self, digest: bytes, token_id: str, now_ms: int, ends_ms: int) -> None:
        """See Credentials."""
        with self._database.write() as connection:
            connection.execute(delete(sessions).where(sessions.c.expires_ms <= now_ms))
            connection.execute(
                insert(sessions).values(hash=digest, token=token_id, expires_ms=ends_ms)
            )

    def close_session(self, digest: bytes) -> None:
        """See Credentials."""
        with self._database.write() as connection:
            connection.execute(delete(sessions).where(sessions.c.hash == digest))


def add_token(
    connection: Connection, token_id: str, digest: bytes, role: Role, label: str, now_ms: int
) -> None:
    """Keep the hash of a new token."""
    connection.execute(
        insert(api_tokens).values(
            id=token_id,
            hash=digest,
            role=role.value,
            label=label,
            created_ms=now_ms,
            revoked_ms=0,
        )
    )


class HeldToken(NamedTuple):
    """A token as it is listed; times in ms, ``revoked_ms`` 0 = valid."""

    id: str
    role: Role
    label: str
    created_ms: int
    revoked_ms: int


def all_tokens(connection: Connection) -> list[HeldToken]:
    """Every token that was ever made, newest first."""
    columns = [api_tokens.c[name] for name in HeldToken._fields]
    rows = connection.execute(select(*columns).order_by(api_tokens.c.created_ms.desc()))
    return [HeldToken(row.id, Role(row.role), *row[2:]) for row in rows]


def revoke_token(connection: Connection, token_id: str, now_ms: int) -> None:
    """End a token and, with it, its sessions; UnknownToken when there is no such valid token."""
    ended = connection.execute(
        update(api_tokens)
        .where(api_tokens.c.id == token_id, api_tokens.c.revoked_ms == 0)
        .values(revoked_ms=now_ms)
    )
    if not ended.rowcount:
        raise UnknownToken(token_id[:40])


class Answered(NamedTuple):
    """What a request with an idempotency key was answered; ``request`` is its SHA-256."""

    request: bytes
    status: int
    body: bytes


def answered(connection: Connection, token_id: str, key: str) -> Answered | None:
    """The answer that this token's request with ``key`` got; None when it is new."""
    columns = (idempotency.c.request, idempotency.c.status, idempotency.c.body)
    query = select(*columns).where(idempotency.c.token == token_id, idempotency.c.key == key)
    row = connection.execute(query).one_or_none()
    return None if row is None else Answered(*row)


def keep_answer(
    connection: Connection, token_id: str, key: str, answer: Answered, now_ms: int, keep_ms: int
) -> None:
    """Keep an answer for repeats, and forget those older than ``keep_ms``."""
    connection.execute(delete(idempotency).where(idempotency.c.created_ms < now_ms - keep_ms))
    connection.execute(
        insert(idempotency).values(token=token_id, key=key, created_ms=now_ms, **answer._asdict())
    )


def _caller(row: Row[Any, Any, Any] | None) -> Caller | None:
    return None if row is None else Caller(row.id, row.label, Role(row.role))
