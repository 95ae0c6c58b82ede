"""The card's side of MIFARE DESFire: frames, authentication, messaging, rights.

AES keys only, but for the card's own as the factory leaves it. EV2, or EV1 without what EV2
brought; files and transactions are desfire_files', the making of files and the changing of keys
desfire_administration's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from drivers.errors import DriverError
from drivers.secure_channel import ev1, ev2
from drivers.secure_channel.channel import Channel, CommunicationMode
from drivers.virtual.cards.desfire_administration import PICC, Administration
from drivers.virtual.cards.desfire_files import (
    NOT_FOUND,
    Status,
    Transaction,
)
from drivers.virtual.cards.desfire_state import EV1, Application, DesfireState, File
from drivers.virtual.command import Refused, parse

SELECT, MORE, GET_VERSION, GET_UID, KEY_VERSION = 0x5A, 0xAF, 0x60, 0x51, 0x64
COMMIT, ABORT, COMMIT_READER_ID = 0xC7, 0xA7, 0xC8
CHANGE_KEY, CHANGE_FILE_SETTINGS, ROLL = 0xC4, 0x5F, 0x55
ILLEGAL, INTEGRITY, NO_SUCH_KEY, LENGTH = 0x1C, 0x1E, 0x40, 0x7E
PERMISSION, NO_APPLICATION, AUTHENTICATION, ABORTED = 0x9D, 0xA0, 0xAE, 0xCA
FREE = 0xE

FRAME_BYTES = 59
"""Data of one frame: 64 bytes less those of ISO/IEC 14443-4, and the command or status byte."""

PLAIN, MAC, FULL = CommunicationMode.PLAIN, CommunicationMode.MAC, CommunicationMode.FULL
_MODES = (PLAIN, MAC, PLAIN, FULL)
# Header bytes of commands whose data is enciphered, or cut into frames; else all is header.
_HEADERS = {0xC4: 1, 0xC6: 2, 0x54: 0, 0x5F: 1, 0xCE: 5, 0x3D: 7, 0x3B: 7, 0x0C: 1, 0xDC: 1}
_HEADERS |= {0x1C: 1, COMMIT_READER_ID: 0}
_OLD_LENGTHS = {0x0C: 4, 0xDC: 4, 0x1C: 4, 0x54: 1}  # EV1 opens enciphered data by its length
_OLD_AUTHENTICATIONS = (ev1.AES_AUTHENTICATION, ev1.ISO)
_FULL = {0xC4, 0xC6, 0x54, 0x5F, 0xCE, GET_UID}
# Which nibbles of a file's rights grant a command: read, write, both (shifts of the 16-bit word).
_READS, _WRITES, _BOTH, _CHANGES = 12, 8, 4, 0
_RIGHTS = {
    0xBD: (_READS, _BOTH),
    0xBB: (_READS, _BOTH),
    0x3D: (_WRITES, _BOTH),
    0x3B: (_WRITES, _BOTH),
    0x6C: (_READS, _WRITES, _BOTH),
    0xDC: (_READS, _WRITES, _BOTH),
    0x1C: (_WRITES, _BOTH),
    0x0C: (_BOTH,),
    CHANGE_FILE_SETTINGS: (_CHANGES,),
}


@dataclass(slots=True)
class Login:
    """The key that is authenticated, and the session that stands on it."""

    key: int
    channel: Channel


class DesfireCard:
    """A state machine from command bytes to answer bytes; it never raises.

    `draw(n)` gives n random bytes for challenges and transaction identifiers.
    """

    atr = bytes.fromhex("3b8180018080")  # what PC/SC makes of a DESFire's ATS (historical: 80)
    historical = b"\x80"

    def __init__(self, state: DesfireState, *, draw: Callable[[int], bytes] = os.urandom) -> None:
        self.state, self._draw = state, draw
        self.reset()

    @property
    def uid(self) -> bytes:
        """Type A identifier."""
        return self.state.uid

    def reset(self) -> None:
        """Power was lost: selection, session, transaction and half commands go."""
        self._open(PICC)

    def transmit(self, apdu: bytes) -> bytes:
        """Answer any bytes whatever with data and a status word."""
        try:
            command = parse(apdu)
        except Refused as refused:
            return refused.status.to_bytes(2, "big")
        if command.cla != 0x90:
            # A SELECT by a name that is nobody's here; every other class is none of this card's.
            return b"\x6a\x82" if (command.cla, command.ins) == (0x00, 0xA4) else b"\x6e\x00"
        if command.p1p2 or command.ne is None or len(command.data) > FRAME_BYTES:
            return bytes((0x91, LENGTH))
        try:
            data, status = self._frame(command.ins, command.data)
        except Status as refused:
            self._fail()
            data, status = b"", refused.status
        except (DriverError, ValueError):  # a MAC, padding or length that does not fit
            self._fail()
            data, status = b"", INTEGRITY
        return data + bytes((0x91, status))

    def _open(self, application: str) -> None:
        self._selected = application
        self._login: Login | None = None
        self._forget_frames()
        self._transaction = Transaction(self._application, self.state.uid)

    def _forget_frames(self) -> None:
        self._half: tuple[int, bytes] | None = None
        self._waiting: list[bytes] = []
        self._handshake: Callable[[bytes], bytes] | None = None

    def _fail(self) -> None:
        """An error ends the session, and with it what was not committed."""
        self._login = None
        self._forget_frames()
        self._transaction.abort()

    @property
    def _application(self) -> Application:
        return self.state.applications[self._selected]

    def _frame(self, ins: int, data: bytes) -> tuple[bytes, int]:
        if ins == MORE:
            return self._continue(data)
        if self._half or self._handshake or self._waiting:
            raise Status(ABORTED)
        if ins in (ev2.FIRST, ev2.NON_FIRST, *_OLD_AUTHENTICATIONS):
            return self._authenticate(ins, data), MORE
        return self._collect(ins, data)

    def _continue(self, data: bytes) -> tuple[bytes, int]:
        half, handshake, waiting = self._half, self._handshake, self._waiting
        self._forget_frames()
        if handshake:
            try:
                return handshake(data), 0
            except DriverError:
                raise Status(AUTHENTICATION) from None
        if half:
            return self._collect(half[0], half[1] + data)
        if not waiting or data:
            raise Status(ILLEGAL)
        return self._deliver(waiting)

    def _deliver(self, frames: list[bytes]) -> tuple[bytes, int]:
        first, *self._waiting = frames
        return first, MORE if self._waiting else 0

    def _authenticate(self, ins: int, request: bytes) -> bytes:
        """First pass; what ran before is over, but for NonFirst."""
        if ins not in _OLD_AUTHENTICATIONS and self.state.generation <= EV1:
            raise Status(ILLEGAL)
        number, running_keys = request[0] if request else 0xFF, self._application.running
        keys = running_keys.keys
        if number >= len(keys):
            raise Status(NO_SUCH_KEY)
        if running_keys.triple_des != (ins == ev1.ISO):
            raise Status(AUTHENTICATION)
        running = self._login
        if ins == ev2.NON_FIRST and not (running and isinstance(running.channel, ev2.Session)):
            raise Status(ILLEGAL)
        if ins != ev2.NON_FIRST:
            self._transaction.abort()
        self._login = None
        self._handshake, challenge = self._half_of(ins, number, keys[number], running)
        return challenge

    def _half_of(
        self, ins: int, number: int, key: bytes, running: Login | None
    ) -> tuple[Callable[[bytes], bytes], bytes]:
        """Return what takes the reader's token, and the challenge."""
        if ins in _OLD_AUTHENTICATIONS:
            old = ev1.CardAuthentication(ins, key, self._draw(ev1.random_bytes(ins, key)))

            def third_old(token: bytes) -> bytes:
                answer, session_key = old.answer(token)
                self._login = Login(number, ev1.Session(ins, session_key))
                return answer

            return third_old, old.challenge
        half = ev2.CardAuthentication(key, self._draw(16))

        def third(token: bytes) -> bytes:
            if ins == ev2.FIRST:
                answer, session = half.first(token, self._draw(4))
            elif running and isinstance(running.channel, ev2.Session):
                answer, session = half.non_first(token, running.channel)
            else:
                raise Status(ILLEGAL)
            self._login = Login(number, session)
            return answer

        return third, half.challenge

    def _collect(self, ins: int, payload: bytes) -> tuple[bytes, int]:
        """Wait until a written range is there; then run the command."""
        if ins in (0x3D, 0x3B) and len(payload) >= 7:
            number, length = payload[0], int.from_bytes(payload[4:7], "little")
            whole = 7 + self._protected(length, self._file_mode(ins, self._file(number)))
            if len(payload) < whole:
                self._half = ins, payload
                return b"", MORE
        return self._run(ins, payload)

    def _protected(self, length: int, mode: CommunicationMode) -> int:
        """How long data of ``length`` is under the running session."""
        if self._login is None or mode is PLAIN:
            return length
        if isinstance(self._login.channel, ev1.Session):
            return length + 8 if mode is MAC else -(-(length + 4) // 16) * 16
        return length + 8 if mode is MAC else (length // 16 + 1) * 16 + 8

    def _run(self, ins: int, payload: bytes) -> tuple[bytes, int]:
        if ins == SELECT:
            return self._select(payload), 0
        mode, login = self._mode(ins, payload), self._login
        if login is None:
            return self._deliver(self._cut(ins, self._dispatch(ins, payload)))
        if ins == CHANGE_KEY and isinstance(login.channel, ev1.Session):
            header, data = self._new_key(login.channel, login.key, payload)
        else:
            header, data = self._unwrap(login.channel, ins, payload, mode)
        answer = self._dispatch(ins, header + data)
        if ins == ROLL or (ins == CHANGE_KEY and header[0] & 0x3F == login.key):
            self._open(self._selected)  # the key that stood behind the session is gone
            return answer, 0
        return self._deliver(self._cut(ins, login.channel.card_wrap(answer, mode=mode)))

    def _new_key(self, channel: ev1.Session, own: int, payload: bytes) -> tuple[bytes, bytes]:
        """Header and data of ChangeKey as EV2 has them, from how EV1 sends them."""
        number, keys = payload[0] & 0x3F if payload else 0xFF, self._application.running.keys
        if number >= len(keys):
            raise Status(NO_SUCH_KEY)
        old = None if number == own else keys[number]
        header, new, version = channel.unwrap_new_key(CHANGE_KEY, payload, 1, old)
        return header, ev2.new_key_data(new, version, old)

    @staticmethod
    def _unwrap(
        channel: Channel, ins: int, payload: bytes, mode: CommunicationMode
    ) -> tuple[bytes, bytes]:
        """Header and plain data; without an entry in _HEADERS all of a command is header."""
        if not isinstance(channel, ev1.Session):
            own = 0 if mode is PLAIN else ev2.MAC_BYTES
            header = _HEADERS.get(ins, max(len(payload) - own, 0))
            return channel.card_unwrap(ins, payload, header, mode=mode)
        length = _OLD_LENGTHS.get(ins)
        if ins in (0x3D, 0x3B):
            length = int.from_bytes(payload[4:7], "little")
        header = _HEADERS.get(ins, len(payload))
        return channel.card_unwrap(ins, payload, header, mode=mode, length=length)

    @staticmethod
    def _cut(ins: int, answer: bytes) -> list[bytes]:
        if ins == GET_VERSION:
            return [answer[:7], answer[7:14], answer[14:]]
        return [answer[at : at + FRAME_BYTES] for at in range(0, len(answer), FRAME_BYTES)] or [b""]

    def _select(self, payload: bytes) -> bytes:
        self._open(PICC)
        if payload.hex() not in self.state.applications:
            raise Status(NO_APPLICATION)
        self._open(payload.hex())
        return b""

    def _mode(self, ins: int, payload: bytes) -> CommunicationMode:
        """Mode of a command; a file's own where it grants the access.  Raises Status."""
        if ins in _RIGHTS:
            if not payload:
                raise Status(LENGTH)
            mode = self._file_mode(ins, self._file(payload[0]))
            return FULL if ins == CHANGE_FILE_SETTINGS else mode
        return FULL if ins in _FULL else MAC

    def _file(self, number: int) -> File:
        file = self._application.files.get(number)
        if file is None:
            raise Status(NOT_FOUND)
        return file

    def _file_mode(self, ins: int, file: File) -> CommunicationMode:
        """The file's mode when the session's key is granted, PLAIN when everybody is."""
        granted = _granted(file, _RIGHTS[ins])
        if self._login and self._login.key in granted:
            return _MODES[file.option & 0x03]
        if FREE in granted:
            return PLAIN
        raise Status(PERMISSION if self._login else AUTHENTICATION)

    def _dispatch(self, ins: int, body: bytes) -> bytes:
        """Run a command on header and plain data."""
        if ins in self._transaction.commands:
            return self._transaction.run(ins, body)
        if ins == GET_VERSION:
            return self._version()
        if ins == KEY_VERSION:
            return self._key_version(body)
        if self._login is None:
            raise Status(AUTHENTICATION)
        if ins == GET_UID:
            return self.state.uid
        if ins in (COMMIT, ABORT, COMMIT_READER_ID):
            return self._end(ins, body)
        return Administration(self.state, self._selected, self._login.key).run(ins, body)

    def _end(self, ins: int, body: bytes) -> bytes:
        if ins == COMMIT:
            return self._transaction.commit(body)
        if ins == ABORT:
            self._transaction.abort()
            return b""
        file = self._transaction.transaction_file()
        if file is None or self._login is None:
            raise Status(PERMISSION)
        if not {self._login.key, FREE} & _granted(file, (_BOTH,)):
            raise Status(PERMISSION)
        return self._transaction.commit_reader_id(body)

    def _version(self) -> bytes:
        part = bytes((0x04, 0x01, 0x01, self.state.generation, 0x00, 0x1A, 0x05))
        return part + part + self.state.uid + bytes.fromhex("0000000000") + b"\x2a\x26"

    def _key_version(self, body: bytes) -> bytes:
        sets = self._application.key_sets
        number, at = body[0] & 0x3F if body else 0xFF, 0
        if body and body[0] & 0x40:
            at = body[1] if len(body) == 2 else 0xFF
        chosen = sets[at] if at < len(sets) else None
        if chosen is None or number >= len(chosen.keys):
            raise Status(NO_SUCH_KEY)
        return bytes((chosen.versions[number],))


def _granted(file: File, shifts: tuple[int, ...]) -> set[int]:
    """Key numbers (or FREE) that any set of the file's rights grants."""
    words = [int.from_bytes(rights, "little") for rights in file.rights]
    return {(word >> shift) & 0xF for word in words for shift in shifts}
