"""The tag's side of NTAG 424 DNA: EV2 sessions in AES or LRP mode, keys, its own messages."""

from __future__ import annotations

import os
from collections.abc import Callable

from drivers.errors import DriverError
from drivers.secure_channel import ev2, lrp_messaging
from drivers.secure_channel.channel import CommunicationMode
from drivers.secure_channel.ev2 import Session, crc32
from drivers.virtual.cards.ntag424_state import FILE_BYTES, KEYS, Ntag424State
from drivers.virtual.command import Command, Refused, parse
from protocol.block_cipher import xor
from protocol.sun import (
    AES_PICC_BYTES,
    LRP_PICC_BYTES,
    MAC_BYTES,
    PiccData,
    SunMode,
    seal_file,
    seal_picc,
    sun_mac,
)

DF_NAME, FILE_ID = bytes.fromhex("D2760000850101"), b"\xe1\x04"
FAILURES_FREE = 50
"""Wrong attempts in a row before the tag makes everybody wait."""

_FREE = 14
_LRP_BIT = 0x02  # of PDCap2.1, and of what a reader asks for in PCDCap2.1
_FULL, _MAC, _PLAIN = CommunicationMode.FULL, CommunicationMode.MAC, CommunicationMode.PLAIN
_HISTORICAL = bytes.fromhex("7777710280")
_VERSION = bytes.fromhex("04040230001105"), bytes.fromhex("04040201021105")
_BATCH = bytes.fromhex("CF39D449801220")
_OK, _MORE = 0x9100, 0x91AF

Answer = tuple[bytes, int]


class Ntag424Card:
    """A state machine from command bytes to answer bytes; it never raises.

    `draw(n)` gives n random bytes for challenges and for what pads a SUN message.
    """

    historical = _HISTORICAL
    atr = bytes.fromhex("3B8580017777710280F7")

    def __init__(self, state: Ntag424State, *, draw: Callable[[int], bytes] = os.urandom) -> None:
        self.state, self._draw, self.uid = state, draw, state.uid
        self._native: dict[int, Callable[[bytes], Answer]] = {
            0x60: self._get_version,
            0xAF: self._continue,
            0x71: self._authenticate_first,
            0x64: self._get_key_version,
            0xC4: self._change_key,
            0xF5: self._get_file_settings,
            0x5F: self._change_file_settings,
            0xF6: self._get_file_counters,
            0xAD: self._read_data,
            0x8D: self._write_data,
            0x5C: self._set_configuration,
        }
        self.reset()

    def reset(self) -> None:
        """Power was lost: selection and session go."""
        self._selected = False
        self._leave()

    def _leave(self) -> None:
        self._session: Session | None = None
        self._slot = -1
        self._file_selected = False
        self._written: bytes | None = None
        self._next: Callable[[bytes], Answer] | None = None

    def transmit(self, apdu: bytes) -> bytes:
        """See VirtualCard."""
        try:
            command = parse(apdu)
            data, status = self._run(command)
        except Refused as refused:
            self._session, self._next = None, None
            data, status = b"", refused.status
        except DriverError:  # a wrong key, MAC or padding
            self._session, self._next = None, None
            data, status = b"", 0x911E
        return data + status.to_bytes(2, "big")

    def _run(self, command: Command) -> Answer:
        if command.cla == 0x00 and command.ins == 0xA4:
            return self._select(command)
        if not self._selected:
            raise Refused(0x6985)
        if command.cla == 0x00 and command.ins == 0xB0:
            return self._read_binary(command)
        handler = self._native.get(command.ins) if command.cla == 0x90 else None
        if handler is None:
            raise Refused(0x911C if command.cla == 0x90 else 0x6E00)
        if command.ins != 0xAF:
            self._next = None
        return handler(command.data)

    def _select(self, command: Command) -> Answer:
        if command.p1 == 0x04:
            self._leave()
            self._selected = command.data == DF_NAME
        elif self._selected and command.p1 == 0x00 and command.data == FILE_ID:
            self._file_selected, self._written = True, None
        else:
            raise Refused(0x6A82)
        if not self._selected:
            raise Refused(0x6A82)
        return b"", 0x9000

    def _read_binary(self, command: Command) -> Answer:
        if not self._file_selected:
            raise Refused(0x6986)
        if not self._may(self.state.right(2), self.state.right(0)):
            raise Refused(0x6982)
        if command.p1p2 >= FILE_BYTES:
            raise Refused(0x6B00)
        return self._content()[command.p1p2 : command.p1p2 + (command.ne or 0)], 0x9000

    def _content(self) -> bytes:
        """The file as it is read now: without a session the tag writes its message into it."""
        if self._session or not self.state.sdm:
            return self.state.file
        if self._written is None:
            self.state.reads += 1
            self._written = self._message()
        return self._written

    def _message(self) -> bytes:
        state = self.state
        mode = SunMode.LRP if state.lrp else SunMode.AES
        picc = PiccData(state.uid, state.reads, mode)
        meta, key = state.keys[state.sdm_slot(2)], state.keys[state.sdm_slot(3)]
        file = bytearray(state.file)
        picc_at, window_at, data_at, length, mac_at = map(state.place, range(5))
        sealed = seal_picc(meta, picc, self._draw(13 if state.lrp else 5))
        file[picc_at : picc_at + 2 * len(sealed)] = sealed.hex().upper().encode()
        plain = state.file[data_at : data_at + length // 2]
        file[data_at : data_at + length] = seal_file(picc, key, plain).hex().upper().encode()
        mac = sun_mac(picc, key, bytes(file[window_at:mac_at]))
        file[mac_at : mac_at + 2 * len(mac)] = mac.hex().upper().encode()
        return bytes(file)

    def _get_version(self, payload: bytes) -> Answer:
        del payload
        parts = iter((_VERSION[1], self.state.uid + _BATCH))

        def more(_payload: bytes) -> Answer:
            part = next(parts)
            last = len(part) > len(_VERSION[1])
            self._next = None if last else more
            return part, _OK if last else _MORE

        self._next = more
        return _VERSION[0], _MORE

    def _continue(self, payload: bytes) -> Answer:
        following, self._next = self._next, None
        if following is None:
            raise Refused(0x911C)
        return following(payload)

    def _authenticate_first(self, payload: bytes) -> Answer:
        state = self.state
        self._session = None
        if len(payload) < 2 or payload[0] >= KEYS:
            raise Refused(0x9140)
        if bool(payload[2:3] and payload[2] & _LRP_BIT) != state.lrp:
            raise Refused(0x919D)  # table 19: who asks for the other mode is turned away
        if state.failures >= FAILURES_FREE:
            raise Refused(0x91AD)
        scheme = lrp_messaging if state.lrp else ev2
        half = scheme.CardAuthentication(state.keys[payload[0]], self._draw(16))

        def prove(token: bytes) -> Answer:
            state.failures += 1  # before it is compared: power lost now gives no attempt back
            try:
                answer, session = half.first(token, self._draw(4))
            except DriverError:
                raise Refused(0x91AE) from None
            state.failures = 0
            self._session, self._slot, self._written = session, payload[0], None
            return answer, _OK

        self._next = prove
        return half.challenge, _MORE

    def _open(self, allowed: set[int]) -> Session:
        if self._session is None or self._slot not in allowed:
            raise Refused(0x91AE if self._session is None else 0x919D)
        return self._session

    def _may(self, *rights: int) -> bool:
        return _FREE in rights or (self._session is not None and self._slot in rights)

    def _get_key_version(self, payload: bytes) -> Answer:
        session = self._open(set(range(KEYS)))
        header, _ = session.card_unwrap(0x64, payload, 1, mode=_MAC)
        if header[0] >= KEYS:
            raise Refused(0x9140)
        return session.card_wrap(bytes((self.state.versions[header[0]],)), mode=_MAC), _OK

    def _change_key(self, payload: bytes) -> Answer:
        session = self._open({0})
        header, data = session.card_unwrap(0xC4, payload, 1, mode=_FULL)
        slot = header[0]
        if slot >= KEYS or len(data) != (21 if slot else 17):
            raise Refused(0x917E)
        key, version = data[:16], data[16]
        if slot:
            key = xor(key, self.state.keys[slot])
            if crc32(key) != data[17:]:
                raise Refused(0x911E)
        self.state.keys[slot], self.state.versions[slot] = key, version
        if slot:
            return session.card_wrap(mode=_MAC), _OK
        self._session = None
        return b"", _OK

    def _get_file_settings(self, payload: bytes) -> Answer:
        session = self._open(set(range(KEYS)))
        session.card_unwrap(0xF5, payload, 1, mode=_MAC)
        settings, size = self.state.settings, FILE_BYTES.to_bytes(3, "little")
        return session.card_wrap(b"\x00" + settings[:3] + size + settings[3:], mode=_MAC), _OK

    def _change_file_settings(self, payload: bytes) -> Answer:
        session = self._open({self.state.right(1)})
        header, data = session.card_unwrap(0x5F, payload, 1, mode=_FULL)
        if header != b"\x02" or len(data) not in (3, 21):
            raise Refused(0x917E)
        if len(data) > 3 and not _fits(data, LRP_PICC_BYTES if self.state.lrp else AES_PICC_BYTES):
            raise Refused(0x919E)
        self.state.settings = data
        if self.state.sdm:  # enabling it starts the count anew (NT4H2421Gx, 9.3.1)
            self.state.reads = 0
        return session.card_wrap(mode=_MAC), _OK

    def _get_file_counters(self, payload: bytes) -> Answer:
        session = self._open({self.state.sdm_slot(1)})
        header, _ = session.card_unwrap(0xF6, payload, 1, mode=_FULL)
        if header != b"\x02":
            raise Refused(0x91F0)
        reads = self.state.reads.to_bytes(3, "little") + bytes(2)
        return session.card_wrap(reads, mode=_FULL), _OK

    def _read_data(self, payload: bytes) -> Answer:
        if not self._may(self.state.right(2), self.state.right(0)):
            raise Refused(0x919D)
        at, length = self._span(payload, 0xAD)[0]
        return self._content()[at : at + length], _OK

    def _write_data(self, payload: bytes) -> Answer:
        if not self._may(self.state.right(3), self.state.right(0)):
            raise Refused(0x919D)
        (at, length), data = self._span(payload, 0x8D)
        if length != len(data):
            raise Refused(0x917E)
        self.state.file = self.state.file[:at] + data + self.state.file[at + length :]
        return b"", _OK

    def _span(self, payload: bytes, ins: int) -> tuple[tuple[int, int], bytes]:
        if self._session:
            self._session.card_unwrap(ins, payload, 7, mode=_PLAIN)
        if len(payload) < 7 or payload[0] != 2:
            raise Refused(0x91F0)
        at, length = int.from_bytes(payload[1:4], "little"), int.from_bytes(payload[4:7], "little")
        if at + length > FILE_BYTES:
            raise Refused(0x91BE)
        return (at, length), payload[7:]

    def _set_configuration(self, payload: bytes) -> Answer:
        """Option 05 alone. With LRP mode the session is over, and its end has no MAC."""
        session = self._open({0})
        header, data = session.card_unwrap(0x5C, payload, 1, mode=_FULL)
        if header != b"\x05":
            raise Refused(0x919E)
        if len(data) != 10:
            raise Refused(0x917E)
        if data[4] & _LRP_BIT and not self.state.lrp:
            self.state.lrp, self._session = True, None
            return b"", _OK
        return session.card_wrap(mode=_MAC), _OK


def _fits(settings: bytes, picc_bytes: int) -> bool:
    """Whether the tag can write its message there (NT4H2421Gx, tables 69 and 71), in characters."""
    numbers = [int.from_bytes(settings[at : at + 3], "little") for at in range(6, 21, 3)]
    picc_at, window_at, data_at, length, mac_at = numbers
    picc_end, mac_end = picc_at + 2 * picc_bytes, mac_at + 2 * MAC_BYTES
    return (
        max(picc_end, mac_end) <= FILE_BYTES
        and window_at <= data_at
        and 0 < length <= mac_at - data_at
        and not length % 32
        and (data_at >= picc_end or picc_at >= data_at + length)
        and (mac_at >= picc_end or picc_at >= mac_end)
    )
