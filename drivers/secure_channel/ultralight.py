"""Authentication of MIFARE Ultralight AES and Ultralight C, and the CMAC session of the former.

Sources: MF0AES(H)20 data sheet and AN13452 (AES), nfcpy (C), as public implementations carry their
values. Ultralight C protects nothing after authentication, and Ultralight AES without its CMAC
loses its key (eprint 2026/100): a dialogue always speaks through ``Session``.
"""

from __future__ import annotations

import hmac

from cryptography.hazmat.primitives.ciphers.algorithms import AES

from drivers.errors import ChannelBroken
from drivers.secure_channel.ev2 import session_vectors
from drivers.secure_channel.three_pass import (
    Chained,
    Fresh,
    card_answer,
    card_check,
    reader_check,
    reader_token,
)
from protocol.block_cipher import cmac, odd_bytes, triple_des

AUTHENTICATE, CONTINUE, DONE = b"\x1a", b"\xaf", b"\x00"
AES_RANDOM_BYTES, C_RANDOM_BYTES = 16, 8
MAC_BYTES = 8
COUNTER_MAX = 0xFFFF

Cipher = Fresh | Chained


def aes_cipher(key: bytes) -> Fresh:
    """The cipher of an Ultralight AES: each frame starts anew."""
    return Fresh(AES(key))


def c_cipher(key: bytes) -> Chained:
    """The cipher of an Ultralight C: two-key triple DES (16 bytes), one chain over all frames."""
    return Chained(triple_des(key))


def stored_key(key: bytes) -> bytes:
    """An Ultralight C key as it is written to pages 2C to 2F: each half reversed."""
    return key[7::-1] + key[:7:-1]


def request(key_number: int = 0) -> bytes:
    """The first frame; Ultralight C has key 0 alone."""
    return AUTHENTICATE + bytes((key_number,))


class ReaderAuthentication:
    """The reader's half over whole frames: ``frame`` answers the card's AF and challenge."""

    def __init__(self, cipher: Cipher, challenge: bytes, rnd_a: bytes) -> None:
        self._cipher, self._rnd_a = cipher, rnd_a
        token, self.rnd_b = reader_token(cipher, _behind(CONTINUE, challenge), rnd_a)
        self.frame = CONTINUE + token

    def check(self, answer: bytes) -> None:
        """CardForged unless the card's last frame returns the terminal's random number."""
        reader_check(self._cipher, _behind(DONE, answer), self._rnd_a)


class CardAuthentication:
    """The card's half over whole frames: ``challenge`` is its first answer."""

    def __init__(self, cipher: Cipher, rnd_b: bytes) -> None:
        self._cipher, self._rnd_b = cipher, rnd_b
        self.challenge = CONTINUE + cipher.send(rnd_b)

    def answer(self, frame: bytes) -> tuple[bytes, bytes]:
        """Return the last frame and the reader's random number; CardForged for another key."""
        rnd_a = card_check(self._cipher, _behind(CONTINUE, frame), self._rnd_b)
        return DONE + card_answer(self._cipher, rnd_a), rnd_a


def session_mac_key(key: bytes, rnd_a: bytes, rnd_b: bytes) -> bytes:
    """Key of the CMAC session of an Ultralight AES: from SV2, as in EV2."""
    return cmac(AES(key), session_vectors(rnd_a, rnd_b)[1])


def frame_mac(mac_key: bytes, counter: int, frame: bytes) -> bytes:
    """8 bytes over the counter and a frame without its MAC."""
    return odd_bytes(cmac(AES(mac_key), counter.to_bytes(2, "little") + frame))


class Session:
    """Frames with a MAC behind them, for either side; the counter rises with every frame.

    ChannelBroken ends the session: after it every call raises ChannelBroken again.
    """

    def __init__(self, mac_key: bytes, counter: int = 0) -> None:
        self._mac_key, self.counter = mac_key, counter
        self._over = False

    def wrap(self, frame: bytes) -> bytes:
        """Protect a frame that leaves this side."""
        return frame + self._next_mac(frame)

    def unwrap(self, protected: bytes) -> bytes:
        """Check a frame that reached this side."""
        frame, mac = protected[:-MAC_BYTES], protected[-MAC_BYTES:]
        if not hmac.compare_digest(self._next_mac(frame), mac):
            raise self._broken("the MAC does not fit")
        return frame

    def _next_mac(self, frame: bytes) -> bytes:
        if self._over:
            raise ChannelBroken("the session is over")
        if self.counter == COUNTER_MAX:
            raise self._broken("the session has used its last counter")
        mac = frame_mac(self._mac_key, self.counter, frame)
        self.counter += 1
        return mac

    def _broken(self, detail: str) -> ChannelBroken:
        self._over = True
        return ChannelBroken(detail)


def _behind(code: bytes, frame: bytes) -> bytes:
    if frame[:1] != code:
        raise ChannelBroken(f"a frame that starts with {frame[:1].hex() or 'nothing'}")
    return frame[1:]
