"""Who calls and what the caller may do: bearer tokens for programs, cookie sessions for people.

Where tokens are kept is left to the store behind the port; only their hashes ever reach it.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple, Protocol

from cloud.http.errors import (
    NotAuthenticated,
    TooManyAttempts,
)

TOKEN_PREFIX = "tl_"  # noqa: S105 - lets a scanner of logs and repositories know a leaked one
# 256 bits: nobody guesses one, so that a plain hash keeps it as well as a slow one would.
SECRET_BYTES = 32
# A working day: a screen that is left alone is closed by the next morning.
SESSION_MS = 12 * 3_600_000
SESSION_COOKIE = "tapledger_session"
CONSOLE_PATH = "/console"
# A person mistypes a few times a minute; a program that guesses is slowed to nothing.
ATTEMPTS_MAX = 10
ATTEMPTS_WINDOW_MS = 60_000
# Addresses remembered at once; the oldest goes first, so that a flood cannot fill the memory.
ADDRESSES_MAX = 4096


class Role(StrEnum):
    """What a token is for."""

    ADMIN = "admin"
    OPERATOR = "operator"
    PROVISIONER = "provisioner"
    READER = "reader"


class Permission(StrEnum):
    """What a request needs."""

    FLEET = "fleet"  # see terminals, cards and bundles
    BOOKS = "books"  # see members, statements, records and quarantine
    ENROL = "enrol"  # make terminals, members and cards
    OPERATE = "operate"  # send commands, revoke terminals, judge records, change cards' states
    PUBLISH = "publish"  # publish prices and rules


GRANTS: dict[Role, frozenset[Permission]] = {
    Role.ADMIN: frozenset(Permission),
    Role.OPERATOR: frozenset(Permission) - {Permission.PUBLISH},
    Role.PROVISIONER: frozenset((Permission.FLEET, Permission.ENROL)),
    Role.READER: frozenset((Permission.FLEET, Permission.BOOKS)),
}


class Caller(NamedTuple):
    """Somebody with a valid token; ``label`` stands in the audit trail and on the page."""

    token_id: str
    label: str
    role: Role

    def may(self, permission: Permission) -> bool:
        """Whether the role covers ``permission``."""
        return permission in GRANTS[self.role]


class Credentials(Protocol):
    """Where the hashes of tokens and sessions are kept."""

    def by_token(self, digest: bytes) -> Caller | None:
        """Who holds the token with this hash; None when it is unknown or revoked."""

    def by_session(self, digest: bytes, now_ms: int) -> Caller | None:
        """Whose session has this hash; None when it is unknown or over, or its token revoked."""

    def open_session(self, digest: bytes, token_id: str, now_ms: int, ends_ms: int) -> None:
        """Keep a new session until ``ends_ms``, and forget those that are over."""

    def close_session(self, digest: bytes) -> None:
        """Forget a session; one that is not there is no error."""


def new_token(random: bytes) -> str:
    """A token from SECRET_BYTES random bytes; shown once, kept nowhere."""
    return TOKEN_PREFIX + _secret(random)


def digest_of(secret: str) -> bytes:
    """SHA-256 of a token or cookie: all that is stored of it."""
    return sha256(secret.strip().encode()).digest()


def _secret(random: bytes) -> str:
    if len(random) != SECRET_BYTES:
        raise ValueError(f"a secret takes {SECRET_BYTES} random bytes")
    return urlsafe_b64encode(random).rstrip(b"=").decode()


class Attempts:
    """Failed logins of the last minute by address."""

    def __init__(self) -> None:
        self._failed: OrderedDict[str, list[int]] = OrderedDict()

    def check(self, address: str, now_ms: int) -> None:
        """TooManyAttempts when ``address`` has to wait."""
        recent = [at for at in self._failed.get(address, ()) if at > now_ms - ATTEMPTS_WINDOW_MS]
        if len(recent) >= ATTEMPTS_MAX:
            raise TooManyAttempts
        if recent:
            self._failed[address] = recent
        else:
            self._failed.pop(address, None)

    def failed(self, address: str, now_ms: int) -> None:
        """Remember a failure."""
        self._failed.setdefault(address, []).append(now_ms)
        self._failed.move_to_end(address)
        while len(self._failed) > ADDRESSES_MAX:
            self._failed.popitem(last=False)


class Sessions:
    """Cookie sessions of the console, made from a token and ended with it."""

    def __init__(
        self,
        credentials: Credentials,
        clock_ms: Callable[[], int],
        random: Callable[[int], bytes],
    ) -> None:
        self._credentials = credentials
        self._clock_ms = clock_ms
        self._random = random
        self._attempts = Attempts()

    def log_in(self, token: str, address: str) -> str:
        """The cookie of a new session; NotAuthenticated or TooManyAttempts."""
        now_ms = self._clock_ms()
        self._attempts.check(address, now_ms)
        caller = self._credentials.by_token(digest_of(token))
        if caller is None:
            self._attempts.failed(address, now_ms)
            raise NotAuthenticated
        cookie = _secret(self._random(SECRET_BYTES))
        self._credentials.open_session(
            digest_of(cookie), caller.token_id, now_ms, now_ms + SESSION_MS
        )
        return cookie

    def caller(self, cookie: str) -> Caller | None:
        """Who the session belongs to; None when it is unknown or over."""
        return self._credentials.by_session(digest_of(cookie), self._clock_ms())

    def log_out(self, cookie: str) -> None:
        """End the session."""
        self._credentials.close_session(digest_of(cookie))
