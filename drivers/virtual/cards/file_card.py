"""The card's side of a CPU card with files: selection, PIN, keys, records, secure messaging."""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import sha256
from hmac import compare_digest

from drivers import tlv
from drivers.apdu import CommandApdu, ResponseApdu
from drivers.errors import CardForged, DriverError
from drivers.secure_channel import retail_mac
from drivers.secure_channel.retail_mac import RANDOM_BYTES, SHARE_BYTES, TOKEN_BYTES, Session
from drivers.virtual.cards.file_card_state import (
    CHANGE_KEY,
    TRIES,
    Access,
    File,
    FileCardState,
    Secret,
)
from drivers.virtual.command import Command, Refused
from drivers.virtual.transmission import Answer, Handler, Transmission
from protocol.block_cipher import cbc_decrypt, one_block, triple_des

AID = bytes.fromhex("F0544C46494C4501")
DIRECTORY = bytes.fromhex("DF01")  # path of the application below the master file
PIN = 0x01
KEY_BYTES = 16
SECURE = 0x0C
SELECT = 0xA4
BROKEN_MESSAGING, BLOCKED = 0x6988, 0x6983


class FileCard:
    """A state machine from command bytes to answer bytes; it never raises."""

    historical = b"\x80"
    atr = bytes.fromhex("3B8180018080")

    def __init__(self, state: FileCardState, *, draw: Callable[[int], bytes] = os.urandom) -> None:
        self.state, self._draw = state, draw
        self.uid = b"\x04" + sha256(b"uid" + state.serial).digest()[:5] + b"\x01"
        self._transmission = Transmission(255, t0=False)
        self._handlers: dict[int, Handler] = {
            0x20: self._verify,
            0x24: self._change_reference_data,
            0x82: self._external_authenticate,
            0x84: self._get_challenge,
            0x88: self._internal_authenticate,
            SELECT: self._select,
            0xB0: self._read_binary,
            0xB2: self._read_record,
            0xD6: self._update_binary,
            0xDC: self._update_record,
            0xE2: self._append_record,
        }
        self.reset()

    def reset(self) -> None:
        """Power was lost: selection, rights, challenge and session go."""
        self._selected = False
        self._drop()
        self._transmission.reset()

    def _drop(self) -> None:
        self._current: int | None = None
        self._rights = {Access.ALWAYS}
        self._challenge: bytes | None = None
        self._asked: bytes | None = None  # a challenge is good for the next command alone
        self._session: Session | None = None
        self._session_key = 0
        self._secured = False

    def transmit(self, apdu: bytes) -> bytes:
        """Answer any bytes whatever with data and a status word."""
        return self._transmission.answer(apdu, self._run)

    def _run(self, command: Command) -> Answer:
        self._asked, self._challenge = self._challenge, None
        if command.cla == SECURE:
            return self._run_secured(command)
        if command.cla:
            raise Refused(0x6E00)
        self._session, self._secured = None, False  # a plain command ends a session
        return self._handler(command.ins)(command)

    def _run_secured(self, command: Command) -> Answer:
        session = self._session
        if session is None:
            raise Refused(BROKEN_MESSAGING)
        try:
            plain = session.open_command(_apdu(command))
        except DriverError:
            self._drop()
            raise Refused(BROKEN_MESSAGING) from None
        self._secured = True
        whole = Command(0, plain.ins, plain.p1, plain.p2, plain.data, plain.ne)
        try:
            data, status = self._handler(whole.ins)(whole)
        except Refused as refused:
            data, status = b"", refused.status
        sealed = session.protect_response(ResponseApdu(data, status), plain.ins)
        return sealed.data, sealed.sw

    def _handler(self, ins: int) -> Handler:
        handler = self._handlers.get(ins)
        if handler is None:
            raise Refused(0x6D00)
        if not self._selected and ins != SELECT:
            raise Refused(0x6985)
        return handler

    def _select(self, command: Command) -> Answer:
        if command.p1 == 0x04 and command.data == AID:
            self._drop()
            self._selected = True
            own = tlv.encode(0x82, self.state.serial)
            return tlv.encode(0x6F, tlv.encode(0x84, AID) + tlv.encode(0xA5, own)), 0x9000
        if command.p1 != 0x08:
            raise Refused(0x6A82 if command.p1 == 0x04 else 0x6A86)
        found = [
            sfi
            for sfi, file in self.state.files.items()
            if command.data == DIRECTORY + file.identifier
        ]
        if not found:
            raise Refused(0x6A82)
        self._selected, self._current = True, found[0]
        return tlv.encode(0x62, tlv.encode(0x83, command.data[-2:])), 0x9000

    def _file(self, sfi: int) -> File:
        """The file of this short identifier, or with 0 the current one."""
        number = sfi or self._current
        file = None if number is None else self.state.files.get(number)
        if file is None:
            raise Refused(0x6A82 if sfi else 0x6986)
        self._current = number
        return file

    def _require(self, access: Access) -> None:
        rights = set(self._rights)
        if self._secured:
            rights.add(Access.SECURE)
            if self._session_key == CHANGE_KEY:
                rights.add(Access.CHANGE)
        if access not in rights:
            raise Refused(0x6982)

    def _binary(self, command: Command) -> tuple[File, int]:
        short = command.p1 & 0x80
        file = self._file(command.p1 & 0x1F if short else 0)
        if file.records_max:
            raise Refused(0x6981)
        return file, command.p2 if short else command.p1p2

    def _read_binary(self, command: Command) -> Answer:
        file, offset = self._binary(command)
        self._require(file.read)
        if offset > len(file.content):
            raise Refused(0x6B00)
        data = file.content[offset:][: command.ne or 0]
        return data, 0x9000 if len(data) == command.ne else 0x6282

    def _update_binary(self, command: Command) -> Answer:
        file, offset = self._binary(command)
        self._require(file.write)
        end = offset + len(command.data)
        if not command.data or end > len(file.content):
            raise Refused(0x6A84)
        file.content = file.content[:offset] + command.data + file.content[end:]
        return b"", 0x9000

    def _records(self, command: Command) -> File:
        file = self._file(command.p2 >> 3)
        if not file.records_max:
            raise Refused(0x6981)
        return file

    def _numbered(self, file: File, command: Command) -> int:
        if command.p2 & 0x07 != 0x04:
            raise Refused(0x6A86)
        if not 1 <= command.p1 <= len(file.records):
            raise Refused(0x6A83)
        return command.p1 - 1

    def _read_record(self, command: Command) -> Answer:
        file = self._records(command)
        self._require(file.read)
        return file.records[self._numbered(file, command)], 0x9000

    def _update_record(self, command: Command) -> Answer:
        file = self._records(command)
        self._require(file.write)
        file.records[self._numbered(file, command)] = command.data
        return b"", 0x9000

    def _append_record(self, command: Command) -> Answer:
        file = self._records(command)
        self._require(file.write)
        if len(file.records) >= file.records_max:
            raise Refused(0x6A84)
        file.records.append(command.data)
        return b"", 0x9000

    def _verify(self, command: Command) -> Answer:
        if command.p1p2 != PIN:
            raise Refused(0x6A88)
        self._rights.discard(Access.PIN)
        if not self.state.pin.tries:
            raise Refused(BLOCKED)
        if not command.data:
            raise Refused(0x63C0 | self.state.pin.tries)
        _spend(self.state.pin, right=compare_digest(self.state.pin.value, command.data))
        self._rights.add(Access.PIN)
        return b"", 0x9000

    def _change_reference_data(self, command: Command) -> Answer:
        """Take a key, also one that was not there (ISO/IEC 7816-4, 11.6.7, without the old one)."""
        self._require(Access.CHANGE)
        if command.p1 != 0x01 or len(command.data) != KEY_BYTES:
            raise Refused(0x6A86 if command.p1 != 0x01 else 0x6700)
        self.state.keys[command.p2] = Secret(command.data)
        return b"", 0x9000

    def _get_challenge(self, command: Command) -> Answer:
        if command.ne != RANDOM_BYTES:
            raise Refused(0x6C00 | RANDOM_BYTES)
        self._challenge = self._draw(RANDOM_BYTES)
        return self._challenge, 0x9000

    def _internal_authenticate(self, command: Command) -> Answer:
        if len(command.data) != RANDOM_BYTES:
            raise Refused(0x6700)
        return one_block(triple_des(self._key(command.p2).value), command.data), 0x9000

    def _external_authenticate(self, command: Command) -> Answer:
        key = self._key(command.p2)
        self._rights.discard(Access.KEY)
        if self._asked is None:
            raise Refused(0x6985)
        if len(command.data) == TOKEN_BYTES:
            return self._authenticate_both(command, key, self._asked)
        proof = one_block(triple_des(key.value), self._asked)
        _spend(key, right=compare_digest(proof, command.data))
        self._rights.add(Access.KEY)
        return b"", 0x9000

    def _authenticate_both(self, command: Command, key: Secret, challenge: bytes) -> Answer:
        keys = retail_mac.derive_keys(key.value)
        first = command.data[:RANDOM_BYTES]  # the terminal's random, which only its token tells
        theirs = cbc_decrypt(triple_des(keys.enc), bytes(RANDOM_BYTES), first)
        try:
            share = retail_mac.open_token(keys, command.data, challenge, theirs)
        except CardForged:
            _spend(key, right=False)
            raise
        _spend(key, right=True)
        mine = self._draw(SHARE_BYTES)
        self._session = Session.agree(theirs, challenge, share, mine)
        self._session_key = command.p2
        return retail_mac.seal_token(keys, challenge, theirs, mine), 0x9000

    def _key(self, reference: int) -> Secret:
        key = self.state.keys.get(reference)
        if key is None:
            raise Refused(0x6A88)
        if not key.tries:
            raise Refused(BLOCKED)
        return key


def _spend(secret: Secret, *, right: bool) -> None:
    # Spent before it counts: power lost in between does not give a try back.
    secret.tries -= 1
    if not right:
        raise Refused(0x63C0 | secret.tries)
    secret.tries = TRIES


def _apdu(command: Command) -> CommandApdu:
    return CommandApdu(command.cla, command.ins, command.p1, command.p2, command.data, command.ne)
