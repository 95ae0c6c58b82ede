"""GlobalPlatform Secure Channel Protocol 03 (Card Specification, Amendment D), S8 mode, both sides.

AES keys of 16, 24 or 32 bytes. What is personalised through the channel is left to the dialogue.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from hmac import compare_digest
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers.algorithms import AES

from drivers.apdu import SHORT_LC_MAX, SW_OK, CommandApdu, ResponseApdu
from drivers.errors import CardRefused, ChannelBroken
from drivers.keys import aes_cmac
from drivers.secure_channel import external_authenticate
from drivers.secure_channel.padded import decipher, encipher
from protocol.block_cipher import one_block

CHALLENGE_BYTES = 8
CRYPTOGRAM_BYTES = 8
MAC_BYTES = 8
PROTOCOL = 3

# Bits of the security level (table 7-3): a MAC on commands goes with everything else.
C_MAC, C_ENC, R_MAC, R_ENC = 0x01, 0x02, 0x10, 0x20
LEVELS = (0x01, 0x03, 0x11, 0x13, 0x33)

_BLOCK_BYTES = 16
_SECURE = 0x04  # class bit: secure messaging as GlobalPlatform defines it
_CHANNEL = 0x03  # class bits: the logical channel, which the MAC takes as 0
_S16 = 0x01  # bit of "i": 16-byte challenges, cryptograms and MACs
_PSEUDO_RANDOM = 0x10  # bit of "i": the card's challenge comes of a sequence counter, told behind
# Derivation constants (table 4-1).
_CARD_CRYPTOGRAM, _HOST_CRYPTOGRAM, _S_ENC, _S_MAC, _S_RMAC = 0, 1, 4, 6, 7


class StaticKeys(NamedTuple):
    """The keys of a security domain, of one length."""

    enc: bytes
    mac: bytes
    dek: bytes


class SessionKeys(NamedTuple):
    """The keys of one session, as long as the static ones."""

    enc: bytes
    mac: bytes
    rmac: bytes


@dataclass(frozen=True, slots=True)
class Greeting:
    """The card's answer to INITIALIZE UPDATE (table 7-1); ``sequence`` where ``i`` announces it."""

    diversification: bytes
    key_version: int
    i: int
    card_challenge: bytes
    card_cryptogram: bytes
    sequence: bytes = b""

    @classmethod
    def decode(cls, data: bytes) -> Greeting:
        """CardRefused unless it is of SCP03 in S8 mode."""
        if len(data) < 13 or data[11] != PROTOCOL or data[12] & _S16:
            raise CardRefused(SW_OK, "INITIALIZE UPDATE: not SCP03 in S8 mode")
        greeting = cls(data[:10], data[10], data[12], data[13:21], data[21:29], data[29:])
        if len(data) != 29 + (3 if greeting.i & _PSEUDO_RANDOM else 0):
            raise CardRefused(SW_OK, "INITIALIZE UPDATE: an answer of a wrong length")
        return greeting

    def encode(self) -> bytes:
        """The answer's data."""
        info = bytes((self.key_version, PROTOCOL, self.i))
        tail = self.card_challenge + self.card_cryptogram + self.sequence
        return self.diversification + info + tail


def key_check_value(key: bytes) -> bytes:
    """The first 3 bytes of a block of 01 enciphered with ``key`` (Amendment D, 4.1.4)."""
    return one_block(AES(key), b"\x01" * _BLOCK_BYTES)[:3]


def derive(key: bytes, constant: int, context: bytes, size: int) -> bytes:
    """``size`` bytes of the KDF in counter mode over CMAC (SP 800-108; Amendment D, 4.1.5)."""
    label = bytes(11) + bytes((constant, 0)) + (8 * size).to_bytes(2, "big")
    blocks = range(1, -(-size // _BLOCK_BYTES) + 1)
    return b"".join(aes_cmac(key, label + bytes((n,)) + context) for n in blocks)[:size]


def derive_session(keys: StaticKeys, host_challenge: bytes, card_challenge: bytes) -> SessionKeys:
    """The keys of the session that these two challenges open."""
    context = host_challenge + card_challenge
    return SessionKeys(
        derive(keys.enc, _S_ENC, context, len(keys.enc)),
        derive(keys.mac, _S_MAC, context, len(keys.mac)),
        derive(keys.mac, _S_RMAC, context, len(keys.mac)),
    )


def card_cryptogram(keys: SessionKeys, host_challenge: bytes, card_challenge: bytes) -> bytes:
    """What proves the card."""
    return derive(keys.mac, _CARD_CRYPTOGRAM, host_challenge + card_challenge, CRYPTOGRAM_BYTES)


def host_cryptogram(keys: SessionKeys, host_challenge: bytes, card_challenge: bytes) -> bytes:
    """What proves whoever holds the keys."""
    return derive(keys.mac, _HOST_CRYPTOGRAM, host_challenge + card_challenge, CRYPTOGRAM_BYTES)


def authenticate(
    keys: StaticKeys, host_challenge: bytes, greeting: Greeting, level: int
) -> tuple[CommandApdu, Session]:
    """Host: check the card's cryptogram; return EXTERNAL AUTHENTICATE and the session behind it."""
    session_keys = derive_session(keys, host_challenge, greeting.card_challenge)
    challenges = (host_challenge, greeting.card_challenge)
    cryptograms = (
        greeting.card_cryptogram,
        card_cryptogram(session_keys, *challenges),
        host_cryptogram(session_keys, *challenges),
    )
    opens = partial(Session, session_keys)
    return external_authenticate.authenticate(PROTOCOL, opens, level, cryptograms)


def accept(
    keys: SessionKeys, host_challenge: bytes, card_challenge: bytes, command: CommandApdu
) -> Session:
    """Card: the session that EXTERNAL AUTHENTICATE opens; see there for the errors."""
    expected = host_cryptogram(keys, host_challenge, card_challenge)
    opens = partial(Session, keys)
    return external_authenticate.accept(PROTOCOL, opens, LEVELS, command, expected)


@dataclass(slots=True)
class Session:
    """An open channel; an error ends it.

    ``chain`` is the MAC of the last command, ``counter`` the number of commands since EXTERNAL
    AUTHENTICATE: each one counts, also one without data.
    """

    keys: SessionKeys
    level: int
    chain: bytes = field(default=bytes(_BLOCK_BYTES))
    counter: int = 0

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(f"SCP03 has no security level {self.level:02X}")

    def protect(self, command: CommandApdu) -> CommandApdu:
        """Host: encipher the data where the level says so, append the MAC."""
        self.counter += 1
        if self.level & C_ENC and command.data:
            text = encipher(AES(self.keys.enc), command.data, self._vector())
            command = replace(command, data=text)
        return self.authenticated(command)

    def open(self, response: ResponseApdu) -> ResponseApdu:
        """Host: check and take off the MAC, decipher. A bare error status passes as it is."""
        if not self.level & R_MAC or _bare(response):
            return response
        data, code = response.data[:-MAC_BYTES], response.data[-MAC_BYTES:]
        if not compare_digest(code, self._response_mac(data, response.sw)):
            raise ChannelBroken("SCP03: wrong MAC on an answer")
        if self.level & R_ENC and data:
            data = decipher(AES(self.keys.enc), data, self._vector(answer=True))
        return ResponseApdu(data, response.sw)

    def open_command(self, command: CommandApdu) -> CommandApdu:
        """Card: check and take off the MAC, decipher."""
        plain = self.verified(command)
        self.counter += 1
        if self.level & C_ENC and plain.data:
            data = decipher(AES(self.keys.enc), plain.data, self._vector())
            plain = replace(plain, data=data)
        return plain

    def protect_response(self, response: ResponseApdu) -> ResponseApdu:
        """Card: encipher and append the MAC where the level says so; errors go out bare."""
        if not self.level & R_MAC or _bare(response):
            return response
        data = response.data
        if self.level & R_ENC and data:
            data = encipher(AES(self.keys.enc), data, self._vector(answer=True))
        return ResponseApdu(data + self._response_mac(data, response.sw), response.sw)

    def authenticated(self, command: CommandApdu) -> CommandApdu:
        """Append the next MAC of the chain to a command."""
        self.chain = self._next_chain(command.cla, command, command.data)
        data = command.data + self.chain[:MAC_BYTES]
        return replace(command, cla=command.cla | _SECURE, data=data)

    def verified(self, command: CommandApdu) -> CommandApdu:
        """Take off the next MAC of the chain; ChannelBroken when it is not that, or none."""
        data, code = command.data[:-MAC_BYTES], command.data[-MAC_BYTES:]
        chain = self._next_chain(command.cla, command, data)
        if not command.cla & _SECURE or not compare_digest(code, chain[:MAC_BYTES]):
            raise ChannelBroken("SCP03: wrong MAC on a command")
        self.chain = chain
        return replace(command, cla=command.cla & ~_SECURE, data=data)

    def _next_chain(self, cla: int, command: CommandApdu, data: bytes) -> bytes:
        length = len(data) + MAC_BYTES
        lc = bytes((length,)) if length <= SHORT_LC_MAX else b"\x00" + length.to_bytes(2, "big")
        header = bytes(((cla | _SECURE) & ~_CHANNEL, command.ins, command.p1, command.p2))
        return aes_cmac(self.keys.mac, self.chain + header + lc + data)

    def _response_mac(self, data: bytes, status: int) -> bytes:
        text = self.chain + data + status.to_bytes(2, "big")
        return aes_cmac(self.keys.rmac, text)[:MAC_BYTES]

    def _vector(self, *, answer: bool = False) -> bytes:
        """The IV of this command, or of its answer (6.2.6, 6.2.7)."""
        block = (answer << 127 | self.counter).to_bytes(_BLOCK_BYTES, "big")
        return one_block(AES(self.keys.enc), block)


def _bare(response: ResponseApdu) -> bool:
    """Whether an answer is an error without data, which carries no MAC (6.2.5)."""
    return not response.data and response.sw != SW_OK and response.sw >> 8 not in (0x62, 0x63)
