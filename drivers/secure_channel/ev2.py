"""DESFire EV2 secure messaging with AES: authentication, session keys, messaging, ChangeKey.

Sources: AN12196 (NTAG 424 DNA) and AN12343 (DESFire Light). The class ``Session`` also carries LRP,
which only differs in its ``Suite``.
"""

from __future__ import annotations

import hmac
import zlib
from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives.ciphers.algorithms import AES

from drivers.errors import CardForged, ChannelBroken
from drivers.secure_channel.channel import STATUS_OK, CommunicationMode
from drivers.secure_channel.three_pass import (
    Fresh,
    card_answer,
    card_check,
    reader_check,
    reader_token,
)
from protocol.block_cipher import cbc_decrypt, cbc_encrypt, cmac, odd_bytes, one_block, pad, unpad
from protocol.block_cipher import xor as xored

FIRST, NON_FIRST = 0x71, 0x77
RANDOM_BYTES = 16
TI_BYTES = 4
CAPABILITY_BYTES = 6
MAC_BYTES = 8
COUNTER_MAX = 0xFFFF  # commands of one session

_BLOCK = 16
_COMMAND_IV, _RESPONSE_IV = b"\xa5\x5a", b"\x5a\xa5"
_KEY_LABELS = b"\xa5\x5a\x00\x01\x00\x80", b"\x5a\xa5\x00\x01\x00\x80"


class Suite(Protocol):
    """The cipher of a session: how 16-byte MACs are made and whole blocks enciphered."""

    def mac(self, message: bytes) -> bytes:
        """16 bytes over any message."""

    def encrypt(self, data: bytes, ti: bytes, counter: int, *, command: bool) -> bytes:
        """Encipher whole blocks of a command or a response."""

    def decrypt(self, data: bytes, ti: bytes, counter: int, *, command: bool) -> bytes:
        """Inverse of ``encrypt``."""


class AesSuite:
    """AES-CMAC, and AES-CBC with an IV from transaction identifier and counter (AN12196, 4.4)."""

    def __init__(self, encryption_key: bytes, mac_key: bytes) -> None:
        self.encryption_key, self.mac_key = encryption_key, mac_key

    def mac(self, message: bytes) -> bytes:
        """See Suite."""
        return cmac(AES(self.mac_key), message)

    def encrypt(self, data: bytes, ti: bytes, counter: int, *, command: bool) -> bytes:
        """See Suite."""
        iv = initial_vector(self.encryption_key, ti, counter, command=command)
        return cbc_encrypt(AES(self.encryption_key), iv, data)

    def decrypt(self, data: bytes, ti: bytes, counter: int, *, command: bool) -> bytes:
        """See Suite."""
        iv = initial_vector(self.encryption_key, ti, counter, command=command)
        return cbc_decrypt(AES(self.encryption_key), iv, data)


class Session:
    """A Channel (see there) after AuthenticateEV2, for either side.

    ``counter`` is the number of the next command; a response is protected under one more, so it
    rises with the command. Messages in PLAIN count as well.
    """

    def __init__(self, suite: Suite, ti: bytes, counter: int = 0) -> None:
        self.suite, self.ti, self.counter = suite, ti, counter
        self._over = False

    def reader_wrap(
        self, ins: int, header: bytes = b"", data: bytes = b"", *, mode: CommunicationMode
    ) -> bytes:
        """See Channel."""
        self._check_open()
        if mode is CommunicationMode.FULL and data:
            data = self.suite.encrypt(pad(data), self.ti, self.counter, command=True)
        payload = header + data + self._mac(ins, header + data, mode)
        self._count()
        return payload

    def card_unwrap(
        self,
        ins: int,
        payload: bytes,
        header_length: int,
        *,
        mode: CommunicationMode,
        length: int | None = None,
    ) -> tuple[bytes, bytes]:
        """See Channel."""
        self._check_open()
        body = self._checked(ins, payload, mode)
        if len(body) < header_length:
            raise self._broken("a command shorter than its header")
        header, data = body[:header_length], body[header_length:]
        data = self._opened(data, mode, length, command=True)
        self._count()
        return header, data

    def card_wrap(
        self, data: bytes = b"", *, mode: CommunicationMode, status: int = STATUS_OK
    ) -> bytes:
        """See Channel."""
        self._check_open()
        if mode is CommunicationMode.FULL and data:
            data = self.suite.encrypt(pad(data), self.ti, self.counter, command=False)
        return data + self._mac(status, data, mode)

    def reader_unwrap(
        self,
        payload: bytes,
        *,
        mode: CommunicationMode,
        status: int = STATUS_OK,
        length: int | None = None,
    ) -> bytes:
        """See Channel."""
        self._check_open()
        return self._opened(self._checked(status, payload, mode), mode, length, command=False)

    def _mac(self, code: int, body: bytes, mode: CommunicationMode) -> bytes:
        """MAC over command or status, counter, transaction identifier and what is sent."""
        if mode is CommunicationMode.PLAIN:
            return b""
        counter = self.counter.to_bytes(2, "little")
        return odd_bytes(self.suite.mac(bytes((code,)) + counter + self.ti + body))

    def _checked(self, code: int, payload: bytes, mode: CommunicationMode) -> bytes:
        if mode is CommunicationMode.PLAIN:
            return payload
        body, mac = payload[:-MAC_BYTES], payload[-MAC_BYTES:]
        if not hmac.compare_digest(self._mac(code, body, mode), mac):
            raise self._broken("the MAC does not fit")
        return body

    def _opened(
        self, data: bytes, mode: CommunicationMode, length: int | None, *, command: bool
    ) -> bytes:
        if mode is CommunicationMode.FULL and data:
            try:
                data = unpad(self.suite.decrypt(data, self.ti, self.counter, command=command))
            except ValueError as error:
                raise self._broken("the enciphered data has no padding") from error
        if length is not None and len(data) != length:
            raise self._broken(f"{len(data)} bytes instead of {length}")
        return data

    def _check_open(self) -> None:
        if self._over:
            raise ChannelBroken("the session is over")

    def _count(self) -> None:
        if self.counter == COUNTER_MAX:
            raise self._broken("the session has used its last counter")
        self.counter += 1

    def _broken(self, detail: str) -> ChannelBroken:
        self._over = True
        return ChannelBroken(detail)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What card (PDcap2) and reader (PCDcap2) said they can do: 6 bytes each."""

    card: bytes = bytes(CAPABILITY_BYTES)
    reader: bytes = bytes(CAPABILITY_BYTES)


class ReaderAuthentication:
    """The reader's half of AuthenticateEV2: ``token`` answers the card's challenge."""

    def __init__(self, key: bytes, challenge: bytes, rnd_a: bytes) -> None:
        self._key, self._link, self._rnd_a = key, Fresh(AES(key)), rnd_a
        self.token, self.rnd_b = reader_token(self._link, challenge, rnd_a)

    def first(self, answer: bytes) -> tuple[Session, Capabilities]:
        """Open a session from the answer to a First; CardForged when the card has another key."""
        if len(answer) != 2 * RANDOM_BYTES:
            raise CardForged(f"an answer of {len(answer)} bytes")
        plain = reader_check(self._link, answer, self._rnd_a, at=TI_BYTES)
        rest = plain[TI_BYTES + RANDOM_BYTES :]
        capabilities = Capabilities(rest[:CAPABILITY_BYTES], rest[CAPABILITY_BYTES:])
        return Session(self._suite(), plain[:TI_BYTES]), capabilities

    def non_first(self, answer: bytes, running: Session) -> Session:
        """Open a session from the answer to a NonFirst: identifier and counter go on."""
        if len(answer) != RANDOM_BYTES:
            raise CardForged(f"an answer of {len(answer)} bytes")
        reader_check(self._link, answer, self._rnd_a)
        return Session(self._suite(), running.ti, running.counter)

    def _suite(self) -> AesSuite:
        return AesSuite(*session_keys(self._key, self._rnd_a, self.rnd_b))


class CardAuthentication:
    """The card's half of AuthenticateEV2: ``challenge`` is its first answer."""

    def __init__(self, key: bytes, rnd_b: bytes) -> None:
        self._key, self._link, self._rnd_b = key, Fresh(AES(key)), rnd_b
        self.challenge = self._link.send(rnd_b)

    def first(
        self, token: bytes, ti: bytes, capabilities: Capabilities | None = None
    ) -> tuple[bytes, Session]:
        """Return the answer and the session; CardForged when the reader has another key."""
        said = capabilities or Capabilities()
        rnd_a = card_check(self._link, token, self._rnd_b)
        answer = card_answer(self._link, rnd_a, before=ti, after=said.card + said.reader)
        return answer, Session(self._suite(rnd_a), ti)

    def non_first(self, token: bytes, running: Session) -> tuple[bytes, Session]:
        """As ``first``, within a running session."""
        rnd_a = card_check(self._link, token, self._rnd_b)
        answer = card_answer(self._link, rnd_a)
        return answer, Session(self._suite(rnd_a), running.ti, running.counter)

    def _suite(self, rnd_a: bytes) -> AesSuite:
        return AesSuite(*session_keys(self._key, rnd_a, self._rnd_b))


def first_request(key_number: int, capabilities: bytes = b"") -> bytes:
    """Payload of AuthenticateEV2First: key number, and what the reader can do (at most 6 bytes)."""
    return bytes((key_number, len(capabilities))) + capabilities


def non_first_request(key_number: int) -> bytes:
    """Payload of AuthenticateEV2NonFirst."""
    return bytes((key_number,))


def session_context(rnd_a: bytes, rnd_b: bytes) -> bytes:
    """The 26 bytes of both random numbers in session vectors (AN12196, section 4.1)."""
    return rnd_a[:2] + xored(rnd_a[2:8], rnd_b[:6]) + rnd_b[6:] + rnd_a[8:]


def session_vectors(rnd_a: bytes, rnd_b: bytes) -> tuple[bytes, bytes]:
    """SV1 for the encryption key and SV2 for the MAC key."""
    context = session_context(rnd_a, rnd_b)
    return _KEY_LABELS[0] + context, _KEY_LABELS[1] + context


def session_keys(key: bytes, rnd_a: bytes, rnd_b: bytes) -> tuple[bytes, bytes]:
    """Encryption key and MAC key of a session."""
    encryption, mac = session_vectors(rnd_a, rnd_b)
    return cmac(AES(key), encryption), cmac(AES(key), mac)


def initial_vector(encryption_key: bytes, ti: bytes, counter: int, *, command: bool) -> bytes:
    """IV of a command or a response (AN12196, section 4.4)."""
    label = _COMMAND_IV if command else _RESPONSE_IV
    block = (label + ti + counter.to_bytes(2, "little")).ljust(_BLOCK, b"\x00")
    return one_block(AES(encryption_key), block)


def crc32(data: bytes) -> bytes:
    """CRC-32 of DESFire: without the final inversion (JAMCRC), least significant byte first."""
    return (zlib.crc32(data) ^ 0xFFFFFFFF).to_bytes(4, "little")


def new_key_data(new: bytes, version: int, old: bytes | None = None) -> bytes:
    """Data of ChangeKey (AN12196, section 5.16), to be sent in FULL behind the key number.

    ``old`` is the present value when another key is changed than the one authenticated with;
    without it that very key is changed, and the card then answers without a MAC.
    """
    if old is None:
        return new + bytes((version,))
    return xored(new, old) + bytes((version,)) + crc32(new)
