"""The card's side of MIFARE Ultralight AES and Ultralight C: pages, authentication, CMAC."""

from __future__ import annotations

import os
from collections.abc import Callable

from drivers.errors import DriverError
from drivers.secure_channel.ultralight import (
    AES_RANDOM_BYTES,
    C_RANDOM_BYTES,
    CardAuthentication,
    Session,
    aes_cipher,
    c_cipher,
    session_mac_key,
)
from drivers.virtual.cards.ultralight_state import (
    AES_KEY_PAGE,
    C_KEY_PAGE,
    PAGE_BYTES,
    UltralightState,
)

ACK, NAK = b"\x0a", b"\x00"
_VERSION = bytes.fromhex("0004030104000F03")
_READ_BYTES = 16
_AES_KEYS_END = 0x38


class _Denied(Exception):
    """Ends a command with a NAK, and with it whatever was authenticated."""


class UltralightCard:
    """Frames in, frames out; after a NAK it is silent until it is selected again (idle state).

    `draw(n)` gives n random bytes for challenges.
    """

    sel_res: int | None = 0x00

    def __init__(
        self, state: UltralightState, *, draw: Callable[[int], bytes] = os.urandom
    ) -> None:
        self.state, self._draw = state, draw
        self.uid = state.uid
        self.reset()

    def reset(self) -> None:
        """Power was lost or the card selected again."""
        self._idle = self._authenticated = False
        self._pending: CardAuthentication | None = None
        self._rnd_b = b""
        self._session: Session | None = None

    def transmit(self, frame: bytes) -> bytes | None:
        """See FrameCard."""
        if self._idle or not frame:
            return None
        try:
            return self._answer(frame)
        except (_Denied, DriverError):
            self.reset()
            self._idle = True
            return NAK

    def _answer(self, frame: bytes) -> bytes:
        pending, self._pending = self._pending, None
        if pending:
            return self._prove(pending, frame)
        session = self._session
        if session and frame[:1] != b"\x1a":
            body = self._run(session.unwrap(frame))
            return session.wrap(b"" if body == ACK else body)
        return self._run(frame)

    def _run(self, frame: bytes) -> bytes:
        code, body = frame[:1], frame[1:]
        if code == b"\x1a" and body == b"\x00":
            return self._challenge()
        if code == b"\x30" and len(body) == 1:
            return self._read(body[0])
        if code == b"\xa2" and len(body) == 1 + PAGE_BYTES:
            return self._write(body[0], body[1:])
        if code == b"\x60" and not body and self.state.is_aes:
            return _VERSION
        raise _Denied

    def _challenge(self) -> bytes:
        state = self.state
        self._authenticated, self._session = False, None
        if state.failures_max and state.failures >= state.failures_max:
            raise _Denied
        cipher = aes_cipher(state.key) if state.is_aes else c_cipher(state.key)
        self._rnd_b = self._draw(AES_RANDOM_BYTES if state.is_aes else C_RANDOM_BYTES)
        self._pending = CardAuthentication(cipher, self._rnd_b)
        return self._pending.challenge

    def _prove(self, pending: CardAuthentication, frame: bytes) -> bytes:
        # Counted before it is compared: power lost in between gives no attempt back.
        self.state.failures += 1
        answer, rnd_a = pending.answer(frame)
        self.state.failures = 0
        self._authenticated = True
        if self.state.speaks_with_mac:
            self._session = Session(session_mac_key(self.state.key, rnd_a, self._rnd_b))
        return answer

    def _read(self, page: int) -> bytes:
        state = self.state
        count = len(state.pages) // PAGE_BYTES
        if page >= count or (state.reading_protected and self._needs_key(page)):
            raise _Denied
        first = AES_KEY_PAGE if state.is_aes else C_KEY_PAGE
        last = _AES_KEYS_END if state.is_aes else count
        readable = bytearray(state.pages)
        readable[first * PAGE_BYTES : last * PAGE_BYTES] = bytes((last - first) * PAGE_BYTES)
        if state.reading_protected and not self._authenticated:
            readable = readable[: state.first_protected * PAGE_BYTES]
        at = page * PAGE_BYTES
        return bytes((readable + readable)[at : at + _READ_BYTES])

    def _write(self, page: int, data: bytes) -> bytes:
        state = self.state
        if not 2 <= page < len(state.pages) // PAGE_BYTES or self._needs_key(page):
            raise _Denied
        state.pages[page * PAGE_BYTES : (page + 1) * PAGE_BYTES] = data
        return ACK

    def _needs_key(self, page: int) -> bool:
        return page >= self.state.first_protected and not self._authenticated
