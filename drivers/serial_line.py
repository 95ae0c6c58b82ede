"""A serial line of a listening reader: opened for this program alone, cut into frames.

What a frame says is left to the reader kinds; that it is presented once, to drivers.listening.
"""

from __future__ import annotations

import contextlib
import select
import termios
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import parse_qs, unquote

import serial

from drivers.errors import ReaderLost, ReaderRefused
from drivers.listening import Finding

READ_BYTES = 4096
# One frame comes without a pause; a hub or a loaded machine may hold back a part for 100 ms.
GAP_S = 0.25

# A SerialException is an OSError; the others come of a device that goes, or was closed, meanwhile.
_LINE_ERRORS = (OSError, ValueError, TypeError, termios.error)


class Device(NamedTuple):
    """A device's path and options, from ``/dev/NAME?option=value&option=value`` (%-escapes)."""

    path: str
    options: dict[str, str]

    @classmethod
    def parse(cls, text: str, known: frozenset[str]) -> Device:
        """ReaderRefused for a path that is none, or an option that is not ``known``."""
        path, _, query = text.partition("?")
        try:
            pairs = parse_qs(query, keep_blank_values=True, strict_parsing=bool(query))
        except ValueError as error:
            raise ReaderRefused(f"'{query}' are no options") from error
        if not path.startswith("/") or not pairs.keys() <= known:
            raise ReaderRefused(f"'{text}' is not /dev/NAME with options of {sorted(known)}")
        return cls(unquote(path), {name: values[-1] for name, values in pairs.items()})

    def baud(self, default: int) -> int:
        """The line's rate; a USB device that only looks like a serial line ignores it."""
        text = self.options.get("baud", str(default))
        if not text.isdecimal():
            raise ReaderRefused(f"'{text}' is no rate")
        return int(text)


class SerialSource:
    """A serial line that this program alone has open; pyserial drops what came before."""

    def __init__(self, path: str, baud: int) -> None:
        try:
            self._line = serial.Serial(path, baud, timeout=0, exclusive=True)
        except _LINE_ERRORS as error:
            raise ReaderLost(f"{path}: {error}") from error

    def read(self, timeout_s: float) -> bytes:
        """See Source."""
        try:
            if not select.select([self._line.fileno()], [], [], timeout_s)[0]:
                return b""
            data: bytes = self._line.read(READ_BYTES)
        except _LINE_ERRORS as error:
            raise ReaderLost(str(error)) from error
        return data

    def close(self) -> None:
        """See Source."""
        with contextlib.suppress(OSError):
            self._line.close()


class LineFramer:
    """Cuts a line's bytes at its ends; what ``read`` makes of each is found (None: nothing).

    ``ends`` are the bytes that end a frame; empty ones between CR and LF are passed over. A rest
    with no end within ``gap_s`` of its last byte, or longer than ``longest``, is dropped.
    """

    def __init__(
        self, read: Callable[[bytes], Finding | None], ends: bytes, gap_s: float, longest: int
    ) -> None:
        self._read, self._ends = read, ends
        self._gap_s, self._longest = gap_s, longest
        self._rest = bytearray()
        self._too_long = False
        self._last = 0.0

    def __call__(self, data: bytes, now: float) -> list[Finding]:
        """See Framer."""
        if self._rest and now - self._last > self._gap_s:
            self._drop()
        found = []
        for byte in data:
            self._last = now
            if byte not in self._ends:
                self._take(byte)
                continue
            frame, whole = bytes(self._rest), not self._too_long
            self._drop()
            finding = self._read(frame) if frame and whole else None
            if finding is not None:
                found.append(finding)
        return found

    def _take(self, byte: int) -> None:
        self._rest.append(byte)
        if len(self._rest) > self._longest:
            self._too_long = True
            del self._rest[1:]

    def _drop(self) -> None:
        self._rest.clear()
        self._too_long = False
