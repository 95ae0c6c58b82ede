"""Tokens and sessions: what is kept of them, how they end, and how guessing is slowed."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from cloud.errors import UnknownToken
from cloud.http.errors import NotAuthenticated, TooManyAttempts
from cloud.http.identity import (
    ADDRESSES_MAX,
    ATTEMPTS_MAX,
    ATTEMPTS_WINDOW_MS,
    SECRET_BYTES,
    SESSION_MS,
    Attempts,
    Role,
    digest_of,
    new_token,
)
from cloud.http.store import revoke_token
from tests.cloud.front import NOON_MS, Front, contents

Api = Callable[[Role | None], httpx.Client]
ADDRESS = "192.0.2.7"


def test_only_hashes_are_kept(front: Front) -> None:
    cookie = front.backend.guard.sessions.log_in(front.tokens[Role.READER], ADDRESS)
    with front.database.read() as connection:
        stored = str(contents(front.database)) + str(
            connection.exec_driver_sql("SELECT * FROM sessions").all()
        )
    assert cookie not in stored
    assert not any(token in stored for token in front.tokens.values())
    assert str(digest_of(cookie)) in stored


def test_tokens_are_as_long_as_they_claim() -> None:
    assert len({new_token(bytes([n]) * SECRET_BYTES) for n in range(256)}) == 256
    with pytest.raises(ValueError, match="32 random bytes"):
        new_token(b"short")


def test_a_revoked_token_and_its_sessions_end_at_once(front: Front, api: Api) -> None:
    client, sessions = api(Role.READER), front.backend.guard.sessions
    cookie = sessions.log_in(front.tokens[Role.READER], ADDRESS)
    assert sessions.caller(cookie) is not None
    assert client.get("/v1/members").status_code == 200
    with front.database.write() as connection:
        revoke_token(connection, "reader-1", NOON_MS)
        with pytest.raises(UnknownToken):
            revoke_token(connection, "reader-1", NOON_MS)
    assert sessions.caller(cookie) is None
    assert client.get("/v1/members").status_code == 401


def test_a_session_ends_after_its_time(front: Front) -> None:
    sessions = front.backend.guard.sessions
    cookie = sessions.log_in(front.tokens[Role.READER], ADDRESS)
    front.now_ms += SESSION_MS - 1
    assert sessions.caller(cookie) is not None
    front.now_ms += 1
    assert sessions.caller(cookie) is None
    assert sessions.caller("") is None


def test_sessions_that_are_over_are_forgotten(front: Front) -> None:
    sessions = front.backend.guard.sessions
    for _ in range(3):
        sessions.log_in(front.tokens[Role.READER], ADDRESS)
    front.now_ms += SESSION_MS
    sessions.log_in(front.tokens[Role.READER], ADDRESS)
    with front.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM sessions").scalar() == 1


def test_guessing_is_slowed_and_the_right_token_works_later(front: Front) -> None:
    sessions = front.backend.guard.sessions
    for _ in range(ATTEMPTS_MAX):
        with pytest.raises(NotAuthenticated):
            sessions.log_in("tl_guess", ADDRESS)
    with pytest.raises(TooManyAttempts):
        sessions.log_in(front.tokens[Role.ADMIN], ADDRESS)
    assert sessions.log_in(front.tokens[Role.ADMIN], "192.0.2.8")
    front.now_ms += ATTEMPTS_WINDOW_MS
    assert sessions.log_in(front.tokens[Role.ADMIN], ADDRESS)


def test_a_flood_of_addresses_does_not_fill_the_memory() -> None:
    attempts = Attempts()
    for _ in range(ATTEMPTS_MAX):
        attempts.failed("first", NOON_MS)
    for number in range(ADDRESSES_MAX - 1):
        attempts.failed(str(number), NOON_MS)
    with pytest.raises(TooManyAttempts):
        attempts.check("first", NOON_MS)
    attempts.failed("one more", NOON_MS)
    attempts.check("first", NOON_MS)


@pytest.mark.parametrize("scheme", ["Basic {}", "Bearer{}", "{}", "Bearer x{}"])
def test_another_scheme_is_no_token(front: Front, api: Api, scheme: str) -> None:
    header = {"Authorization": scheme.format(front.tokens[Role.ADMIN])}
    assert api(None).get("/v1/members", headers=header).status_code == 401


def test_a_console_session_is_no_api_token(front: Front, api: Api) -> None:
    cookie = front.backend.guard.sessions.log_in(front.tokens[Role.ADMIN], ADDRESS)
    for header in (
        {"Authorization": f"Bearer {cookie}"},
        {"Cookie": f"tapledger_session={cookie}"},
    ):
        assert api(None).get("/v1/members", headers=header).status_code == 401
