"""EV2 authentication and messaging in LRP mode, of NTAG 424 DNA and DESFire Light.

Sources: AN12304, AN12321, AN12343. Only the authentication and the ``Suite`` are LRP's: the session
itself is ev2.Session.
"""

from __future__ import annotations

import hmac

from drivers.errors import CardForged
from drivers.secure_channel.ev2 import (
    CAPABILITY_BYTES,
    RANDOM_BYTES,
    TI_BYTES,
    Capabilities,
    Session,
    session_context,
)
from protocol.lrp import BLOCK_BYTES, ENCRYPTION_KEY, LrpKey

READER_CAPABILITIES = b"\x02"  # what a reader says in AuthenticateEV2First to ask for LRP
COUNTER_BYTES = 4  # of the encryption counter

_LRP_MODE = b"\x01"
_LABEL, _TRAILER = b"\x00\x01\x00\x80", b"\x96\x69"


class LrpSuite:
    """CMAC_LRP, and LRICB whose counter rises with every enciphered block in either direction."""

    def __init__(self, master: bytes, counter: bytes = bytes(COUNTER_BYTES)) -> None:
        self._key = LrpKey.expand(master)
        self.counter = counter

    def mac(self, message: bytes) -> bytes:
        """See ev2.Suite."""
        return self._key.cmac(message)

    def encrypt(self, data: bytes, ti: bytes, counter: int, *, command: bool) -> bytes:
        """See ev2.Suite; the block counter stands for identifier, counter and direction."""
        encrypted, self.counter = self._key.encrypt(ENCRYPTION_KEY, self.counter, data)
        return encrypted

    def decrypt(self, data: bytes, ti: bytes, counter: int, *, command: bool) -> bytes:
        """See ev2.Suite."""
        plain, self.counter = self._key.decrypt(ENCRYPTION_KEY, self.counter, data)
        return plain

    def encrypt_blocks(self, data: bytes) -> bytes:
        """Encipher outside of messages, as the card's last answer of an authentication is."""
        return self.encrypt(data, b"", 0, command=False)

    def decrypt_blocks(self, data: bytes) -> bytes:
        """Inverse of ``encrypt_blocks``."""
        return self.decrypt(data, b"", 0, command=False)


class ReaderAuthentication:
    """The reader's half: ``token`` answers the card's challenge, which names the mode in front."""

    def __init__(self, key: bytes, challenge: bytes, rnd_a: bytes) -> None:
        if challenge[:1] != _LRP_MODE or len(challenge) != 1 + RANDOM_BYTES:
            raise CardForged("the card does not answer in LRP mode")
        self.rnd_b, self._rnd_a = challenge[1:], rnd_a
        self._suite = LrpSuite(session_master(key, rnd_a, self.rnd_b))
        self.token = rnd_a + self._suite.mac(rnd_a + self.rnd_b)

    def first(self, answer: bytes) -> tuple[Session, Capabilities]:
        """Open a session from the answer to a First; CardForged when the card has another key."""
        plain = self._suite.decrypt_blocks(self._proved(answer, BLOCK_BYTES))
        rest = plain[TI_BYTES:]
        capabilities = Capabilities(rest[:CAPABILITY_BYTES], rest[CAPABILITY_BYTES:])
        return Session(self._suite, plain[:TI_BYTES]), capabilities

    def non_first(self, answer: bytes, running: Session) -> Session:
        """Open a session from the answer to a NonFirst: identifier and counter go on."""
        self._proved(answer, 0)
        return Session(self._suite, running.ti, running.counter)

    def _proved(self, answer: bytes, size: int) -> bytes:
        encrypted, proof = answer[:size], answer[size:]
        expected = self._suite.mac(self.rnd_b + self._rnd_a + encrypted)
        if not hmac.compare_digest(expected, proof):
            raise CardForged("the card's proof does not fit")
        return encrypted


class CardAuthentication:
    """The card's half: ``challenge`` is its first answer."""

    def __init__(self, key: bytes, rnd_b: bytes) -> None:
        self._key, self._rnd_b = key, rnd_b
        self.challenge = _LRP_MODE + rnd_b

    def first(
        self, token: bytes, ti: bytes, capabilities: Capabilities | None = None
    ) -> tuple[bytes, Session]:
        """Return the answer and the session; CardForged when the reader has another key."""
        said = capabilities or Capabilities()
        suite, rnd_a = self._proved(token)
        encrypted = suite.encrypt_blocks(ti + said.card + said.reader)
        proof = suite.mac(self._rnd_b + rnd_a + encrypted)
        return encrypted + proof, Session(suite, ti)

    def non_first(self, token: bytes, running: Session) -> tuple[bytes, Session]:
        """As ``first``, within a running session."""
        suite, rnd_a = self._proved(token)
        proof = suite.mac(self._rnd_b + rnd_a)
        return proof, Session(suite, running.ti, running.counter)

    def _proved(self, token: bytes) -> tuple[LrpSuite, bytes]:
        if len(token) != 2 * RANDOM_BYTES:
            raise CardForged(f"a token of {len(token)} bytes")
        rnd_a, proof = token[:RANDOM_BYTES], token[RANDOM_BYTES:]
        suite = LrpSuite(session_master(self._key, rnd_a, self._rnd_b))
        if not hmac.compare_digest(suite.mac(rnd_a + self._rnd_b), proof):
            raise CardForged("the reader's proof does not fit")
        return suite, rnd_a


def session_vector(rnd_a: bytes, rnd_b: bytes) -> bytes:
    """SV of an LRP session (AN12343, section 7.2)."""
    return _LABEL + session_context(rnd_a, rnd_b) + _TRAILER


def session_master(key: bytes, rnd_a: bytes, rnd_b: bytes) -> bytes:
    """SesAuthMasterKey, whose updated keys are those of MAC and encryption."""
    return LrpKey.expand(key).cmac(session_vector(rnd_a, rnd_b))
