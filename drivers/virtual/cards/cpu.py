"""The card's side of the CPU member card; how commands reach it is the carriers' business."""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable
from functools import reduce
from hashlib import sha256
from operator import xor

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

from drivers.virtual.cards.cpu_state import ADMIN_TRIES, CpuState
from drivers.virtual.command import Command, Refused, parse
from drivers.virtual.transmission import CHAINED, Answer, Handler, Transmission

AID = bytes.fromhex("F05441504C454447455201")
PROOF_LABEL = b"tapledger/card/1"
NAME = b"TAPLEDGER"
CREDENTIAL_SFI = 1

FILE_CAPACITY = 2048
"""Bytes of EF.CREDENTIAL: a credential of a few hundred, with room."""

LAST_COUNTER = 0xFFFFFFFF
"""The counter never wraps: a card that has signed this often refuses."""

SELECT, UPDATE_BINARY = 0xA4, 0xD6


class CpuCard:
    """A state machine from command bytes to answer bytes; it never raises.

    `t0` makes it a T=0 card: no extended length, 61xx with GET RESPONSE, 6Cxx for another Le.
    `draw(n)` gives n random bytes for challenges; keys and signatures `cryptography` draws.
    """

    def __init__(
        self, state: CpuState, *, draw: Callable[[int], bytes] = os.urandom, t0: bool = False
    ) -> None:
        self.state, self._draw = state, draw
        self._transmission = Transmission(FILE_CAPACITY, t0=t0)
        self.historical = _historical(t0=t0)
        self.atr, self.uid = _atr(self.historical, t0=t0), _uid(state.serial)
        self._key = _load_key(state.signing_key) if state.signing_key else None
        self._handlers: dict[int, Handler] = {
            0x24: self._change_reference_data,
            0x44: self._activate_file,
            0x47: self._generate_key_pair,
            0x82: self._external_authenticate,
            0x84: self._get_challenge,
            0x88: self._internal_authenticate,
            SELECT: self._select,
            0xB0: self._read_binary,
            0xC0: self._transmission.get_response,
            UPDATE_BINARY: self._update_binary,
        }
        self.reset()

    def reset(self) -> None:
        """Power was lost: selection, admin rights, challenge, chain and pending answer go."""
        self._deselect()
        self._selected = False
        self._transmission.reset()

    def transmit(self, apdu: bytes) -> bytes:
        """Answer any bytes whatever with data and a status word."""
        try:
            command = parse(apdu)
            data, status = self._transmission.carry(command, self._handler(command))
        except Refused as refused:
            data, status = b"", refused.status
        return data + status.to_bytes(2, "big")

    def _handler(self, command: Command) -> Handler:
        if command.cla & ~CHAINED:
            raise Refused(0x6E00)
        if not self._selected and command.ins != SELECT:
            raise Refused(0x6985)
        if command.cla and command.ins != UPDATE_BINARY:
            raise Refused(0x6884)
        handler = self._handlers.get(command.ins)
        if handler is None:
            raise Refused(0x6D00)
        return handler

    def _select(self, command: Command) -> Answer:
        _require(command, 0x0400, len(command.data))
        if command.data != AID:
            raise Refused(0x6A82)
        self._deselect()
        self._selected = True
        proprietary = _tlv(0x80, b"\x01") + _tlv(0x81, bytes([self.state.lifecycle]))
        proprietary += _tlv(0x82, self.state.serial)
        return _tlv(0x6F, _tlv(0x84, AID) + _tlv(0xA5, proprietary)), 0x9000

    def _deselect(self) -> None:
        self._admin = False
        self._challenge: bytes | None = None
        self._file_is_current = False

    def _read_binary(self, command: Command) -> Answer:
        if command.data or command.ne is None:
            raise Refused(0x6700)
        offset = self._offset(command)
        data = self.state.file[offset : offset + command.ne]
        return data, 0x9000 if len(data) == command.ne else 0x6282

    def _update_binary(self, command: Command) -> Answer:
        self._require_admin()
        if not command.data:
            raise Refused(0x6700)
        offset, file = self._offset(command), self.state.file
        end = offset + len(command.data)
        if end > FILE_CAPACITY:
            raise Refused(0x6A84)
        self.state.file = file[:offset] + command.data + file[end:]
        return b"", 0x9000

    def _offset(self, command: Command) -> int:
        """Find the file that P1 names, or the current one, and the offset in it."""
        offset = command.p1p2
        if command.p1 & 0x80:
            if command.p1 & 0x60:
                raise Refused(0x6A86)
            if command.p1 & 0x1F != CREDENTIAL_SFI:
                raise Refused(0x6A82)
            self._file_is_current, offset = True, command.p2
        if not self._file_is_current:
            raise Refused(0x6986)
        if offset > len(self.state.file):
            raise Refused(0x6B00)
        return offset

    def _internal_authenticate(self, command: Command) -> Answer:
        _require(command, 0x0000, 16)
        self._transmission.require_le(command, 68)
        if self._key is None or self.state.counter == LAST_COUNTER:
            raise Refused(0x6985)
        self.state.counter += 1
        counter = self.state.counter.to_bytes(4, "big")
        message = PROOF_LABEL + counter + command.data
        r, s = decode_dss_signature(self._key.sign(message, ec.ECDSA(hashes.SHA256())))
        return counter + r.to_bytes(32, "big") + s.to_bytes(32, "big"), 0x9000

    def _get_challenge(self, command: Command) -> Answer:
        _require(command, 0x0000, 0)
        self._transmission.require_le(command, 16)
        self._challenge = self._draw(16)
        return self._challenge, 0x9000

    def _external_authenticate(self, command: Command) -> Answer:
        _require(command, 0x0001, 16)
        if not self.state.admin_tries:
            raise Refused(0x6983)
        challenge, self._challenge, self._admin = self._challenge, None, False
        if challenge is None:
            raise Refused(0x6985)
        # Spent before it is compared: power lost in between does not give a try back.
        self.state.admin_tries -= 1
        mac = CMAC(AES128(self.state.admin_key))
        mac.update(challenge)
        if not hmac.compare_digest(mac.finalize(), command.data):
            raise Refused(0x63C0 | self.state.admin_tries)
        self.state.admin_tries, self._admin = ADMIN_TRIES, True
        return b"", 0x9000

    def _generate_key_pair(self, command: Command) -> Answer:
        _require(command, 0x8000, 0)
        self._require_admin()
        self._transmission.require_le(command, 70)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.state.signing_key = self._key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        point = self._key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        return b"\x7f" + _tlv(0x49, _tlv(0x86, point)), 0x9000

    def _change_reference_data(self, command: Command) -> Answer:
        _require(command, 0x0101, 24)
        self._require_admin()
        try:
            self.state.admin_key = aes_key_unwrap(self.state.admin_key, command.data)
        except InvalidUnwrap:
            raise Refused(0x6A80) from None
        return b"", 0x9000

    def _activate_file(self, command: Command) -> Answer:
        _require(command, 0x0000, 0)
        self._require_admin()
        if self._key is None or not self.state.file:
            raise Refused(0x6985)
        self.state.lifecycle, self._admin = 1, False
        return b"", 0x9000

    def _require_admin(self) -> None:
        if not self._admin:
            raise Refused(0x6982)


def _require(command: Command, p1p2: int, length: int) -> None:
    if command.p1p2 != p1p2:
        raise Refused(0x6A86)
    if len(command.data) != length:
        raise Refused(0x6700)


def _tlv(tag: int, value: bytes) -> bytes:
    return bytes([tag, len(value)]) + value


def _load_key(stored: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_der_private_key(stored, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the card signs with P-256")
    return key


def _historical(*, t0: bool) -> bytes:
    """COMPACT-TLV (ISO/IEC 7816-4, 12.1.1): selection by full name, chaining, extended length."""
    capabilities = bytes([0x80, 0x21, 0x80 if t0 else 0xC0])
    return b"\x80\x73" + capabilities + bytes([0x50 | len(NAME)]) + NAME


def _atr(historical: bytes, *, t0: bool) -> bytes:
    """Answer to reset (ISO/IEC 7816-3, 8.2): T=0 alone needs no TCK; T=0 and T=1 do."""
    if t0:
        return bytes([0x3B, len(historical)]) + historical
    checked = bytes([0x80 | len(historical), 0x80, 0x01]) + historical
    return b"\x3b" + checked + bytes([reduce(xor, checked)])


def _uid(serial: bytes) -> bytes:
    """A fixed seven-byte identifier whose second part does not begin with the cascade tag 88."""
    uid = bytearray(b"\x04" + sha256(b"uid" + serial).digest()[:6])
    uid[3] &= 0x7F
    return bytes(uid)
