"""3DES mutual authentication and secure messaging with the retail MAC (ISO/IEC 7816-4, clause 10).

As ICAO Doc 9303 part 11 pins it down (4.3 Basic Access Control, 9.8 secure messaging). Both sides
are here; who sends what when is left to the card's dialogue.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha1
from hmac import compare_digest
from typing import NamedTuple

from drivers import tlv
from drivers.apdu import EXTENDED_NE_MAX, SHORT_NE_MAX, CommandApdu, ResponseApdu, refused
from drivers.errors import CardForged, ChannelBroken
from drivers.secure_channel.padded import decipher, encipher
from protocol.block_cipher import cbc_decrypt, cbc_encrypt, pad, triple_des, xor

BLOCK_BYTES = 8
MAC_BYTES = 8
RANDOM_BYTES = 8  # each side's challenge
SHARE_BYTES = 16  # each side's part of the session keys
TOKEN_BYTES = 2 * RANDOM_BYTES + SHARE_BYTES + MAC_BYTES

_SECURE = 0x0C  # class bits: secure messaging, header authenticated (ISO/IEC 7816-4, table 2)
_ENC, _MAC = 1, 2  # counters of key derivation (ICAO Doc 9303 part 11, 9.7.1)
# Data objects of secure messaging (ISO/IEC 7816-4, table 49).
_CRYPTOGRAM, _PADDED_CRYPTOGRAM, _LE, _CHECKSUM, _STATUS = 0x85, 0x87, 0x97, 0x8E, 0x99
_PADDING_METHOD_2 = b"\x01"
_ZEROS = bytes(BLOCK_BYTES)


class Keys(NamedTuple):
    """Two-key triple DES keys, 16 bytes each."""

    enc: bytes
    mac: bytes


def mac(key: bytes, message: bytes, *, padding: int = 2, iv: bytes = _ZEROS) -> bytes:
    """ISO/IEC 9797-1 MAC algorithm 3 over DES: 8 bytes, ``key`` is K || K' of 8 bytes each.

    ``padding`` 1 fills the last block with zeros, 2 appends 80 first.
    """
    if len(key) != 2 * BLOCK_BYTES or padding not in (1, 2):
        raise ValueError("the retail MAC takes 16 bytes of key and padding 1 or 2")
    if padding == 2:
        message = pad(message, BLOCK_BYTES)
    else:
        message = (message or b"\x00") + bytes(-len(message or b"\x00") % BLOCK_BYTES)
    first, second = triple_des(key[:BLOCK_BYTES]), triple_des(key[BLOCK_BYTES:])
    last = cbc_encrypt(first, iv, message)[-BLOCK_BYTES:]
    return cbc_encrypt(first, _ZEROS, cbc_decrypt(second, _ZEROS, last))


def derive(seed: bytes, counter: int) -> bytes:
    """Return a 16-byte key with odd parity: ``counter`` 1 to encipher, 2 for the MAC (9.7.1)."""
    key = sha1(seed + counter.to_bytes(4, "big")).digest()[:16]  # noqa: S324 - as specified
    return bytes(byte & 0xFE | (byte >> 1).bit_count() + 1 & 1 for byte in key)


def derive_keys(seed: bytes) -> Keys:
    """Both keys of a seed: that of a document, or that of a session."""
    return Keys(derive(seed, _ENC), derive(seed, _MAC))


def seal_token(keys: Keys, mine: bytes, theirs: bytes, share: bytes) -> bytes:
    """One side's proof: own random, the other's random and own share, enciphered, with a MAC."""
    text = cbc_encrypt(triple_des(keys.enc), _ZEROS, mine + theirs + share)
    return text + mac(keys.mac, text)


def open_token(keys: Keys, token: bytes, mine: bytes, theirs: bytes) -> bytes:
    """Return the other side's share; CardForged unless the token answers ``mine``."""
    text, code = token[:-MAC_BYTES], token[-MAC_BYTES:]
    if len(token) != TOKEN_BYTES or not compare_digest(code, mac(keys.mac, text)):
        raise CardForged("mutual authentication: wrong MAC")
    clear = cbc_decrypt(triple_des(keys.enc), _ZEROS, text)
    if not compare_digest(clear[: 2 * RANDOM_BYTES], theirs + mine):
        raise CardForged("mutual authentication: not an answer to this challenge")
    return clear[2 * RANDOM_BYTES :]


def get_challenge() -> CommandApdu:
    """The command that asks the card for its random."""
    return CommandApdu(0x00, 0x84, 0x00, 0x00, ne=RANDOM_BYTES)


def mutual_authenticate(token: bytes) -> CommandApdu:
    """The command that carries the terminal's token and asks for the card's."""
    return CommandApdu(0x00, 0x82, 0x00, 0x00, token, ne=TOKEN_BYTES)


@dataclass(slots=True)
class Session:
    """Secure messaging of one session; an error ends it. ``ssc`` is the last counter used."""

    keys: Keys
    ssc: bytes

    @classmethod
    def agree(cls, rnd_ifd: bytes, rnd_icc: bytes, k_ifd: bytes, k_icc: bytes) -> Session:
        """Begin with the randoms and shares of terminal (``ifd``) and card (``icc``)."""
        return cls(derive_keys(xor(k_ifd, k_icc)), rnd_icc[4:] + rnd_ifd[4:])

    def protect(self, command: CommandApdu) -> CommandApdu:
        """Terminal: encipher the data, cover everything with a MAC."""
        objects = self._enciphered(command.data, command.ins)
        if command.ne is not None:
            size = 1 if command.ne <= SHORT_NE_MAX else 2
            le = (command.ne & (1 << 8 * size) - 1).to_bytes(size, "big")
            objects += tlv.encode(_LE, le)
        cla = command.cla | _SECURE
        header = bytes((cla, command.ins, command.p1, command.p2))
        objects += self._checksum(pad(header, BLOCK_BYTES) + objects)
        ne = SHORT_NE_MAX if (command.ne or 0) <= SHORT_NE_MAX else EXTENDED_NE_MAX
        return CommandApdu(cla, command.ins, command.p1, command.p2, objects, ne)

    def open(self, response: ResponseApdu) -> ResponseApdu:
        """Terminal: return the plain answer.

        CardRefused when the card ended the session with a bare status word, ChannelBroken when
        the answer's MAC, form or status does not hold.
        """
        if not response.data:
            raise refused(response, "secure messaging")
        objects = self._verified(b"", response.data, {_CRYPTOGRAM, _PADDED_CRYPTOGRAM, _STATUS})
        if objects.get(_STATUS) != response.sw.to_bytes(2, "big"):
            raise ChannelBroken("secure messaging: the status word is not the protected one")
        return ResponseApdu(self._deciphered(objects), response.sw)

    def open_command(self, command: CommandApdu) -> CommandApdu:
        """Card: return the plain command; ChannelBroken when MAC or form does not hold."""
        if command.cla & _SECURE != _SECURE:
            raise ChannelBroken("secure messaging: a plain command")
        header = bytes((command.cla, command.ins, command.p1, command.p2))
        prefix = pad(header, BLOCK_BYTES)
        objects = self._verified(prefix, command.data, {_CRYPTOGRAM, _PADDED_CRYPTOGRAM, _LE})
        le = objects.get(_LE)
        if le is not None and len(le) not in (1, 2):
            raise ChannelBroken("secure messaging: Le is not 1 or 2 bytes")
        ne = le and (int.from_bytes(le, "big") or 1 << 8 * len(le))
        data = self._deciphered(objects)
        return CommandApdu(
            command.cla & ~_SECURE, command.ins, command.p1, command.p2, data, ne or None
        )

    def protect_response(self, response: ResponseApdu, ins: int) -> ResponseApdu:
        """Card: encipher the answer to instruction ``ins``, cover it and its status with a MAC."""
        objects = self._enciphered(response.data, ins)
        objects += tlv.encode(_STATUS, response.sw.to_bytes(2, "big"))
        return ResponseApdu(objects + self._checksum(objects), response.sw)

    def _enciphered(self, data: bytes, ins: int) -> bytes:
        """Count one message on, and return the data object of ``data``: none when it is empty."""
        self.ssc = (int.from_bytes(self.ssc, "big") + 1 & (1 << 64) - 1).to_bytes(8, "big")
        if not data:
            return b""
        text = encipher(triple_des(self.keys.enc), data, _ZEROS)
        if ins & 1:
            return tlv.encode(_CRYPTOGRAM, text)
        return tlv.encode(_PADDED_CRYPTOGRAM, _PADDING_METHOD_2 + text)

    def _deciphered(self, objects: dict[int, bytes]) -> bytes:
        text = objects.get(_CRYPTOGRAM)
        if _PADDED_CRYPTOGRAM in objects:
            padded = objects[_PADDED_CRYPTOGRAM]
            if text is not None or padded[:1] != _PADDING_METHOD_2:
                raise ChannelBroken("secure messaging: an unknown form of enciphered data")
            text = padded[1:]
        return b"" if text is None else decipher(triple_des(self.keys.enc), text, _ZEROS)

    def _checksum(self, text: bytes) -> bytes:
        return tlv.encode(_CHECKSUM, mac(self.keys.mac, self.ssc + text))

    def _verified(self, prefix: bytes, data: bytes, known: set[int]) -> dict[int, bytes]:
        """Count one message on, and return its data objects when the checksum behind holds."""
        self._enciphered(b"", 0)
        body, code = data[: -MAC_BYTES - 2], data[-MAC_BYTES - 2 :]
        if not compare_digest(code, self._checksum(prefix + body)):
            raise ChannelBroken("secure messaging: wrong MAC")
        try:
            objects = tlv.parse(body)
        except tlv.TlvError as error:
            raise ChannelBroken(f"secure messaging: {error}") from error
        if not objects.keys() <= known:
            raise ChannelBroken("secure messaging: a data object that does not belong there")
        return objects
