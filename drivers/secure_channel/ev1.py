"""DESFire EV1 authentication and secure messaging: cards before EV2, and any card's factory key.

Sources: AN0945 and AN12757 as public implementations carry their values. New cards use ev2, but for
the triple-DES key that they are delivered with. The legacy authentication (D40, 0A) is only
mathematics to recognise an old card and move its owner to a new one: no session stands on it.
"""

from __future__ import annotations

import hmac

from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from drivers.errors import ChannelBroken
from drivers.secure_channel.channel import STATUS_OK, CommunicationMode
from drivers.secure_channel.ev2 import crc32
from drivers.secure_channel.three_pass import (
    Chained,
    DecryptOnly,
    EncryptOnly,
    Link,
    card_answer,
    card_check,
    reader_check,
    reader_token,
)
from protocol.block_cipher import cmac_subkeys, pad, triple_des, xor

D40, ISO, AES_AUTHENTICATION = 0x0A, 0x1A, 0xAA
MAC_BYTES = 8  # the first of the 16 of a CMAC, or all of triple DES
CRC_BYTES = 4

_KEY_BYTES = 16  # of a new key: AES-128


def reader_link(ins: int, key: bytes) -> Link:
    """The reader's cipher for an authentication command: 0A, 1A or AA."""
    return DecryptOnly(triple_des(key)) if ins == D40 else Chained(_cipher(ins, key))


def card_link(ins: int, key: bytes) -> Link:
    """The card's cipher for an authentication command."""
    return EncryptOnly(triple_des(key)) if ins == D40 else Chained(_cipher(ins, key))


def random_bytes(ins: int, key: bytes) -> int:
    """Length of the random numbers: 16, but 8 for single and two-key triple DES."""
    return 8 if ins != AES_AUTHENTICATION and len(key) < 24 else 16


class ReaderAuthentication:
    """The reader's half: ``token`` answers the card's challenge."""

    def __init__(self, ins: int, key: bytes, challenge: bytes, rnd_a: bytes) -> None:
        self._ins, self._key, self._rnd_a = ins, key, rnd_a
        self._link = reader_link(ins, key)
        self.token, self.rnd_b = reader_token(self._link, challenge, rnd_a)

    def session_key(self, answer: bytes) -> bytes:
        """Return the session key; CardForged when the card has another key."""
        reader_check(self._link, answer, self._rnd_a)
        return session_key(self._ins, self._key, self._rnd_a, self.rnd_b)


class CardAuthentication:
    """The card's half: ``challenge`` is its first answer."""

    def __init__(self, ins: int, key: bytes, rnd_b: bytes) -> None:
        self._ins, self._key, self._rnd_b = ins, key, rnd_b
        self._link = card_link(ins, key)
        self.challenge = self._link.send(rnd_b)

    def answer(self, token: bytes) -> tuple[bytes, bytes]:
        """Return the answer and the session key; CardForged when the reader has another key."""
        rnd_a = card_check(self._link, token, self._rnd_b)
        key = session_key(self._ins, self._key, rnd_a, self._rnd_b)
        return card_answer(self._link, rnd_a), key


def session_key(ins: int, key: bytes, rnd_a: bytes, rnd_b: bytes) -> bytes:
    """Slices of both random numbers: 16 bytes, 24 for three-key triple DES.

    A two-key triple DES key of equal halves is single DES and gives 8 bytes, twice.
    """
    head = rnd_a[:4] + rnd_b[:4]
    if ins == AES_AUTHENTICATION:
        return head + rnd_a[12:16] + rnd_b[12:16]
    if len(key) == 24:
        return head + rnd_a[6:10] + rnd_b[6:10] + rnd_a[12:16] + rnd_b[12:16]
    if key[:8] == key[8:] or len(key) == 8:
        return head + head
    return head + rnd_a[4:8] + rnd_b[4:8]


def crc16(data: bytes) -> bytes:
    """CRC_A (ISO/IEC 14443-3, annex B): the checksum of D40 data, least significant byte first."""
    register = 0x6363
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0x8408 if register & 1 else 0)
    return register.to_bytes(2, "little")


class Session:
    """A Channel (see there) after AuthenticateAES or AuthenticateISO (``ins``), for either side.

    One IV runs through it all. EV1 differs from EV2 where it matters to a caller: a command's MAC
    is only sent with data in MAC mode, and responses in PLAIN carry a MAC as well.
    """

    def __init__(self, ins: int, key: bytes, iv: bytes | None = None) -> None:
        algorithm = _cipher(ins, key)
        self._block = algorithm.block_size // 8
        self._chain = Chained(algorithm, iv)
        self._subkeys = cmac_subkeys(algorithm)
        self._over = False

    @property
    def iv(self) -> bytes:
        """What the next message starts from."""
        return self._chain.iv

    def reader_wrap(
        self, ins: int, header: bytes = b"", data: bytes = b"", *, mode: CommunicationMode
    ) -> bytes:
        """See Channel."""
        self._check_open()
        head = bytes((ins,)) + header
        if mode is CommunicationMode.FULL and data:
            return header + self._encipher(data + crc32(head + data))
        mac = self._mac(head + data)
        return header + data + (mac if mode is CommunicationMode.MAC and data else b"")

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
        header, body = payload[:header_length], payload[header_length:]
        head = bytes((ins,)) + header
        if len(header) < header_length:
            raise self._broken("a command shorter than its header")
        if mode is CommunicationMode.FULL and body:
            data = self._opened(body, head, b"", length)
        elif mode is CommunicationMode.MAC and body:
            data = self._verified(head, body, b"")
        else:
            self._mac(head + body)
            data = body
        return header, self._of_length(data, length)

    def card_wrap(
        self, data: bytes = b"", *, mode: CommunicationMode, status: int = STATUS_OK
    ) -> bytes:
        """See Channel."""
        self._check_open()
        tail = bytes((status,))
        if mode is CommunicationMode.FULL and data:
            return self._encipher(data + crc32(data + tail))
        return data + self._mac(data + tail)

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
        tail = bytes((status,))
        # Triple DES enciphers a short answer into as many bytes as a MAC has.
        if mode is CommunicationMode.FULL and (length or len(payload) != MAC_BYTES):
            return self._opened(payload, b"", tail, length)
        return self._of_length(self._verified(b"", payload, tail), length)

    def wrap_new_key(
        self, ins: int, header: bytes, new: bytes, version: int, old: bytes | None = None
    ) -> bytes:
        """Protect ChangeKey: ``header`` names the key, ``old`` is its value unless it is our own.

        After changing its own key the card answers without a MAC, and the session is over.
        """
        self._check_open()
        data = (new if old is None else xor(new, old)) + bytes((version,))
        check = crc32(bytes((ins,)) + header + data)
        return header + self._encipher(data + check + (b"" if old is None else crc32(new)))

    def unwrap_new_key(
        self, ins: int, payload: bytes, header_length: int, old: bytes | None = None
    ) -> tuple[bytes, bytes, int]:
        """Check ChangeKey on the card: header, new key (AES-128) and version."""
        self._check_open()
        header = payload[:header_length]
        plain = self._deciphered(payload[header_length:])
        if len(plain) <= _KEY_BYTES + CRC_BYTES:
            raise self._broken("a new key that was cut off")
        data, rest = plain[: _KEY_BYTES + 1], plain[_KEY_BYTES + 1 :]
        new = data[:_KEY_BYTES] if old is None else xor(data[:_KEY_BYTES], old)
        check = crc32(bytes((ins,)) + header + data) + (b"" if old is None else crc32(new))
        if not hmac.compare_digest(rest, check.ljust(len(rest), b"\x00")):
            raise self._broken("the checksum of a new key does not fit")
        return header, new, data[_KEY_BYTES]

    def _mac(self, message: bytes) -> bytes:
        """MAC that starts from the running IV and becomes it: its first 8 bytes are sent."""
        whole, padded = self._subkeys
        size = self._block
        subkey = whole if message and len(message) % size == 0 else padded
        blocks = message if subkey is whole else pad(message, size)
        self._chain.send(blocks[:-size] + xor(blocks[-size:], subkey))
        return self.iv[:MAC_BYTES]

    def _verified(self, before: bytes, protected: bytes, after: bytes) -> bytes:
        data, mac = protected[:-MAC_BYTES], protected[-MAC_BYTES:]
        if not hmac.compare_digest(self._mac(before + data + after), mac):
            raise self._broken("the MAC does not fit")
        return data

    def _encipher(self, data: bytes) -> bytes:
        return self._chain.send(data + bytes(-len(data) % self._block))

    def _deciphered(self, data: bytes) -> bytes:
        if not data or len(data) % self._block:
            raise self._broken(f"{len(data)} bytes cannot be enciphered data")
        return self._chain.receive(data)

    def _opened(self, enciphered: bytes, before: bytes, after: bytes, length: int | None) -> bytes:
        """Plain data whose checksum over ``before``, data and ``after`` fits.

        The padding is zeros, or 80 and zeros, and a checksum may begin as data ends: only with the
        length is it known where one ends and the other begins.
        """
        plain = self._deciphered(enciphered)
        if length is None:
            raise ValueError("EV1 needs the length of enciphered data")
        data, check = plain[:length], plain[length : length + CRC_BYTES]
        padding = plain[length + CRC_BYTES :].removeprefix(b"\x80").strip(b"\x00")
        if padding or not hmac.compare_digest(crc32(before + data + after), check):
            raise self._broken("the checksum does not fit")
        return data

    def _of_length(self, data: bytes, length: int | None) -> bytes:
        if length is not None and len(data) != length:
            raise self._broken(f"{len(data)} bytes instead of {length}")
        return data

    def _check_open(self) -> None:
        if self._over:
            raise ChannelBroken("the session is over")

    def _broken(self, detail: str) -> ChannelBroken:
        self._over = True
        return ChannelBroken(detail)


def _cipher(ins: int, key: bytes) -> BlockCipherAlgorithm:
    return AES(key) if ins == AES_AUTHENTICATION else triple_des(key)
