"""GlobalPlatform Secure Channel Protocol 02 (Card Specification 2.3, annex E), option i=15.

For old stock: explicit start, MAC over the modified command, its IV enciphered, no MAC on answers.
Two-key triple DES throughout. Deprecated by GlobalPlatform; new cards take SCP03.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from hmac import compare_digest
from typing import NamedTuple

from drivers.apdu import SHORT_LC_MAX, SW_OK, CommandApdu
from drivers.errors import CardRefused, ChannelBroken
from drivers.secure_channel import external_authenticate, retail_mac
from drivers.secure_channel.padded import decipher, encipher
from protocol.block_cipher import cbc_encrypt, one_block, triple_des

PROTOCOL = 2
CHALLENGE_BYTES = 8  # the host's
CARD_CHALLENGE_BYTES = 6
MAC_BYTES = 8
C_MAC, C_DECRYPTION = 0x01, 0x02
LEVELS = (0x01, 0x03)

_ZEROS = bytes(8)  # IV of everything but the MAC
_SECURE = 0x04  # class bit: secure messaging as GlobalPlatform defines it
_CHANNEL = 0x03  # class bits: the logical channel, which the MAC takes as 0
_GREETING_BYTES = 28
# Derivation constants (table E-3).
_MAC, _RMAC, _DEK, _ENC = 0x0101, 0x0102, 0x0181, 0x0182


class Keys(NamedTuple):
    """Static keys of a security domain, 16 bytes each."""

    enc: bytes
    mac: bytes
    dek: bytes


class SessionKeys(NamedTuple):
    """Keys of one session, 16 bytes each."""

    enc: bytes
    mac: bytes
    rmac: bytes
    dek: bytes


@dataclass(frozen=True, slots=True)
class Greeting:
    """The card's answer to INITIALIZE UPDATE (table E-7)."""

    diversification: bytes
    key_version: int
    sequence: bytes
    card_challenge: bytes
    card_cryptogram: bytes

    @classmethod
    def decode(cls, data: bytes) -> Greeting:
        """CardRefused unless it is of SCP02."""
        if len(data) != _GREETING_BYTES or data[11] != PROTOCOL:
            raise CardRefused(SW_OK, "INITIALIZE UPDATE: not SCP02")
        return cls(data[:10], data[10], data[12:14], data[14:20], data[20:])

    def encode(self) -> bytes:
        """The answer's data."""
        head = self.diversification + bytes((self.key_version, PROTOCOL))
        return head + self.sequence + self.card_challenge + self.card_cryptogram


def key_check_value(key: bytes) -> bytes:
    """The first 3 bytes of a block of zeros enciphered with ``key`` (Card Specification, B.5)."""
    return one_block(triple_des(key), _ZEROS)[:3]


def derive_session(keys: Keys, sequence: bytes) -> SessionKeys:
    """The keys of the session with this 2-byte sequence counter (E.4.1)."""

    def derive(key: bytes, constant: int) -> bytes:
        text = constant.to_bytes(2, "big") + sequence + bytes(12)
        return cbc_encrypt(triple_des(key), _ZEROS, text)

    return SessionKeys(
        derive(keys.enc, _ENC),
        derive(keys.mac, _MAC),
        derive(keys.mac, _RMAC),
        derive(keys.dek, _DEK),
    )


def card_cryptogram(keys: SessionKeys, host_challenge: bytes, answer: bytes) -> bytes:
    """What proves the card; ``answer`` is its sequence counter and challenge (E.4.2.1)."""
    return _cryptogram(keys, host_challenge + answer)


def host_cryptogram(keys: SessionKeys, host_challenge: bytes, answer: bytes) -> bytes:
    """What proves whoever holds the keys (E.4.2.2)."""
    return _cryptogram(keys, answer + host_challenge)


def _cryptogram(keys: SessionKeys, text: bytes) -> bytes:
    return encipher(triple_des(keys.enc), text, _ZEROS)[-MAC_BYTES:]


def authenticate(
    keys: Keys, host_challenge: bytes, greeting: Greeting, level: int
) -> tuple[CommandApdu, Session]:
    """Host: check the card's cryptogram; return EXTERNAL AUTHENTICATE and the session behind it."""
    session_keys = derive_session(keys, greeting.sequence)
    challenges = (host_challenge, greeting.sequence + greeting.card_challenge)
    cryptograms = (
        greeting.card_cryptogram,
        card_cryptogram(session_keys, *challenges),
        host_cryptogram(session_keys, *challenges),
    )
    opens = partial(Session, session_keys)
    return external_authenticate.authenticate(PROTOCOL, opens, level, cryptograms)


def accept(
    keys: SessionKeys, host_challenge: bytes, answer: bytes, command: CommandApdu
) -> Session:
    """Card: the session that EXTERNAL AUTHENTICATE opens; see there for the errors."""
    expected = host_cryptogram(keys, host_challenge, answer)
    opens = partial(Session, keys)
    return external_authenticate.accept(PROTOCOL, opens, LEVELS, command, expected)


@dataclass(slots=True)
class Session:
    """An open channel; an error ends it. ``last`` is the MAC of the last command."""

    keys: SessionKeys
    level: int
    last: bytes = b""  # none before the first

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(f"SCP02 i=15 has no security level {self.level:02X}")

    def protect(self, command: CommandApdu) -> CommandApdu:
        """Host: append the MAC over the plain data, then encipher these where the level says so."""
        sealed = self.authenticated(command)
        if not self.level & C_DECRYPTION or not command.data:
            return sealed
        text = encipher(triple_des(self.keys.enc), command.data, _ZEROS)
        return replace(sealed, data=text + self.last)

    def open_command(self, command: CommandApdu) -> CommandApdu:
        """Card: decipher, check the MAC and take it off."""
        text, code = command.data[:-MAC_BYTES], command.data[-MAC_BYTES:]
        if self.level & C_DECRYPTION and text:
            text = decipher(triple_des(self.keys.enc), text, _ZEROS)
        return self.verified(replace(command, data=text + code))

    def authenticated(self, command: CommandApdu) -> CommandApdu:
        """Append the next MAC to a command; ValueError when its data leave no place for one."""
        if len(command.data) > SHORT_LC_MAX - MAC_BYTES:
            raise ValueError(f"SCP02 carries at most {SHORT_LC_MAX - MAC_BYTES} bytes of data")
        self.last = self._mac(command, command.data)
        return replace(command, cla=command.cla | _SECURE, data=command.data + self.last)

    def verified(self, command: CommandApdu) -> CommandApdu:
        """Take off the next MAC; ChannelBroken when it is not that, or none."""
        data, code = command.data[:-MAC_BYTES], command.data[-MAC_BYTES:]
        if len(data) > SHORT_LC_MAX - MAC_BYTES:
            raise ChannelBroken("SCP02: a command too long for a MAC")
        expected = self._mac(command, data)
        if not command.cla & _SECURE or not compare_digest(code, expected):
            raise ChannelBroken("SCP02: wrong MAC on a command")
        self.last = expected
        return replace(command, cla=command.cla & ~_SECURE, data=data)

    def _mac(self, command: CommandApdu, data: bytes) -> bytes:
        """Retail MAC over header, new length and plain data; the last MAC enciphered is its IV."""
        cla = (command.cla | _SECURE) & ~_CHANNEL
        header = bytes((cla, command.ins, command.p1, command.p2, len(data) + MAC_BYTES))
        iv = one_block(triple_des(self.keys.mac[:8]), self.last) if self.last else _ZEROS
        return retail_mac.mac(self.keys.mac, header + data, iv=iv)
