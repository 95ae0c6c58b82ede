"""A PN532 (NXP UM0701-02) played on a pseudo-terminal; what the card answers is the card's."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable
from enum import Enum

from drivers.virtual.faults import CardLeft, Faults, FrameCard, VirtualCard
from drivers.virtual.pn532_frames import ACK, ERROR_FRAME, HostFrames, response_frame
from drivers.virtual.pn532_target import CrcError, Target, target_of
from drivers.virtual.pty import Pty

LONGEST_READ = 4096
"""More than any host sends before it waits for an answer."""

TIMEOUT = b"\x01"
"""Status: the target has not answered (UM0701-02, 7.1)."""

CRC_ERROR = b"\x02"
"""Status: the checksum of what came does not fit (UM0701-02, 7.1)."""

_FIFO_DATA = 0x6339
_SENS_REQ = 0x26
_RX_MODE = 0x6303
_RX_CRC = 0x80
_AUTOMATIC_RATS = 0x10


class Line(Enum):
    """What the serial line does to the chip's answers."""

    CLEAN = "clean"
    HUNG = "hung"
    NOISE = "noise"


class Pn532Chip:
    """The chip without its line: a command in, its response data out, None for an unknown one."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._registers: dict[int, int] = {}
        self._parameters = 0x14
        self._card: Target | None = None
        self._commands: dict[int, Callable[[bytes], bytes]] = {
            0x00: self._diagnose,
            0x02: lambda _: bytes.fromhex("32010607"),
            0x06: self._read_register,
            0x08: self._write_register,
            0x10: lambda _: b"",
            0x12: self._set_parameters,
            0x14: lambda _: b"",
            0x16: lambda _: b"\x00",
            0x32: self._rf_configuration,
            0x40: lambda data: self._thru(b"" if len(data) < 2 else data[1:], self._exchange),
            0x42: lambda data: self._thru(data, self._communicate),
            0x44: lambda _: b"\x00",
            0x4A: self._list_passive_target,
            0x52: lambda _: b"\x00",
            0x54: lambda _: b"\x00",
        }

    def place(self, card: VirtualCard | FrameCard | None) -> None:
        """Put a card into the field, or take it out; safe from another thread."""
        self._card = target_of(card, self._faults) if card else None

    def run(self, body: bytes) -> bytes | None:
        """Run one command: body = command code and data."""
        command = self._commands.get(body[0])
        return command(body[1:]) if command else None

    def _diagnose(self, data: bytes) -> bytes:
        return data if data[:1] == b"\x00" else b"\x00"

    def _read_register(self, data: bytes) -> bytes:
        addresses = [data[at] << 8 | data[at + 1] for at in range(0, len(data) - 1, 2)]
        return bytes(
            self._registers.get(address, _SENS_REQ if address == _FIFO_DATA else 0)
            for address in addresses
        )

    def _write_register(self, data: bytes) -> bytes:
        for at in range(0, len(data) - 2, 3):
            self._registers[data[at] << 8 | data[at + 1]] = data[at + 2]
        return b""

    def _set_parameters(self, data: bytes) -> bytes:
        self._parameters = data[0] if data else 0
        return b""

    def _rf_configuration(self, data: bytes) -> bytes:
        present = self._card
        if present and data[:1] == b"\x01" and not data[-1] & 1:
            present.power_off()
        return b""

    def _list_passive_target(self, data: bytes) -> bytes:
        present = self._card
        if not present or len(data) < 2:
            return b"\x00"
        rats = bool(self._parameters & _AUTOMATIC_RATS)
        found = present.poll(data[1], data[2:], rats=rats)
        self._registers[_RX_MODE] = _RX_CRC
        return b"\x00" if found is None else b"\x01\x01" + found

    def _thru(self, data: bytes, exchange: Callable[[bytes], bytes | None]) -> bytes:
        present = self._card
        if not present or not data:
            return TIMEOUT
        try:
            answer = exchange(data)
        except CardLeft:
            self._card = None
            return TIMEOUT
        except CrcError:
            return CRC_ERROR
        gone = self._card is not present
        return TIMEOUT if answer is None or gone else b"\x00" + answer

    def _communicate(self, frame: bytes) -> bytes | None:
        checked = bool(self._registers.get(_RX_MODE, _RX_CRC) & _RX_CRC)
        return self._card.frame(frame, checked=checked) if self._card else None

    def _exchange(self, data: bytes) -> bytes | None:
        return self._card.data(data) if self._card else None


class Pn532Device:
    """The chip on a pseudo-terminal: a reader opens `path` as it would open /dev/ttyUSB0.

    One thread answers.  `faults` act between card and chip, `line` between chip and host.
    """

    def __init__(self) -> None:
        self.faults = Faults()
        self.line = Line.CLEAN
        self._chip = Pn532Chip(self.faults)
        self._frames = HostFrames()
        self._pty = Pty()
        self.path = self._pty.path
        self._stop = os.eventfd(0)
        self._thread = threading.Thread(target=self._serve, name=f"pn532 {self.path}", daemon=True)
        self._thread.start()

    def insert(self, card: VirtualCard | FrameCard) -> None:
        """Lay a card on the reader."""
        self._chip.place(card)

    def remove(self) -> None:
        """Take the card away, also in the middle of an exchange."""
        self._chip.place(None)

    def close(self) -> None:
        """Unplug the reader: the host's next read or write fails."""
        if self._thread.is_alive():
            os.eventfd_write(self._stop, 1)
            self._thread.join()
            self._pty.close()
            os.close(self._stop)

    def _serve(self) -> None:
        poll = select.poll()
        poll.register(self._pty.end, select.POLLIN)
        poll.register(self._stop, select.POLLIN)
        while all(descriptor != self._stop for descriptor, _ in poll.poll()):
            data = os.read(self._pty.end, LONGEST_READ)
            for body in self._frames.feed(data, time.monotonic()):
                self._answer(body)

    def _answer(self, body: bytes) -> None:
        if self.line is Line.HUNG:
            return
        early = ACK if self.faults.latency_ms else b""
        if early:
            self._pty.say(early)
        data = self._chip.run(body)
        frame = ERROR_FRAME if data is None else response_frame(body[0], data)
        if self.line is Line.NOISE:
            frame = os.urandom(len(frame))
        self._pty.say(frame if early else ACK + frame)
