"""Reader kind: readers and scanners that type like a keyboard, through the kernel's event device.

The device is grabbed, so that what it types reaches no window. Only the kernel's own interface is
used (Documentation/input/input.rst): the package for it comes as source and needs a compiler.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import struct

from drivers.errors import ReaderLost, ReaderRefused
from drivers.listening import Finding, ListeningReader
from drivers.number_format import FORMATS
from drivers.reader import Reader, ReaderKind, ReaderSettings
from drivers.serial_line import GAP_S, Device, LineFramer

QUIET_S = 1.0  # most type once, however long the card is held
TEXT_BYTES_MAX = 4096

_EVENT = struct.Struct("llHHi")  # struct input_event: seconds, microseconds, type, code, value
_EVENTS_READ = 64
_GRAB = 0x40044590  # EVIOCGRAB of linux/input.h: _IOW('E', 0x90, int)
_EV_SYN, _EV_KEY = 0x00, 0x01
_SYN_DROPPED = 3
_PRESSED = 1
_SHIFTS = (42, 54)
# Key codes of linux/input-event-codes.h on the US layout, which such devices type by default: rows
# of keys from a first code on, without and with shift, and the keypad.
_ROWS = (
    (2, "1234567890-=", "!@#$%^&*()_+"),
    (16, "qwertyuiop[]\n", "QWERTYUIOP{}\n"),
    (30, "asdfghjkl;'`", 'ASDFGHJKL:"~'),
    (43, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
    (55, "*", "*"),
    (57, " ", " "),
    (71, "789-456+1230.", "789-456+1230."),
    (96, "\n", "\n"),
    (98, "/", "/"),
)
_PLAIN = {first + at: char for first, row, _ in _ROWS for at, char in enumerate(row)}
_SHIFTED = {first + at: char for first, _, row in _ROWS for at, char in enumerate(row)}
_LOST = b"\x00"  # stands where keys were lost: no format and no text has it


class Keys:
    """Turns event bytes into what was typed; events may come in parts."""

    def __init__(self) -> None:
        self._rest = b""
        self._held: set[int] = set()

    def typed(self, data: bytes) -> bytes:
        """Return the characters that these bytes complete."""
        data = self._rest + data
        whole = len(data) - len(data) % _EVENT.size
        self._rest = data[whole:]
        return b"".join(
            self._event(kind, code, value)
            for *_, kind, code, value in _EVENT.iter_unpack(data[:whole])
        )

    def _event(self, kind: int, code: int, value: int) -> bytes:
        if kind == _EV_SYN and code == _SYN_DROPPED:
            self._held.clear()
            return _LOST
        if kind != _EV_KEY:
            return b""
        if code in _SHIFTS:
            (self._held.add if value else self._held.discard)(code)
            return b""
        keys = _SHIFTED if self._held else _PLAIN
        return keys.get(code, "").encode() if value == _PRESSED else b""


class KeyFramer:
    """See Framer: what is typed up to Enter, in the format of a name or, as ``text``, as it is."""

    def __init__(self, name: str) -> None:
        read = FORMATS.get(name)
        if read is None and name != "text":
            raise ReaderRefused(f"'{name}' is no format; known are text, {', '.join(FORMATS)}")
        self._keys = Keys()
        self._read = read
        self._lines = LineFramer(self._finding, b"\n", GAP_S, TEXT_BYTES_MAX)

    def __call__(self, data: bytes, now: float) -> list[Finding]:
        """See Framer."""
        return self._lines(self._keys.typed(data), now)

    def _finding(self, frame: bytes) -> Finding | None:
        if self._read is None:
            return None if _LOST in frame else Finding(text=frame.decode())
        number = self._read(frame)
        return Finding(number=number) if number else None


class EventSource:
    """See Source: an open event device."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._is_open = True

    @classmethod
    def open(cls, path: str) -> EventSource:
        """Open and grab the device at ``path``; ReaderLost when it is not there or is grabbed."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise ReaderLost(f"{path}: {error.strerror}") from error
        try:
            fcntl.ioctl(descriptor, _GRAB, 1)
        except OSError as error:
            os.close(descriptor)
            raise ReaderLost(f"{path} cannot be grabbed: {error.strerror}") from error
        return cls(descriptor)

    def read(self, timeout_s: float) -> bytes:
        """See Source."""
        if not self._is_open:
            raise ReaderLost("closed")
        try:
            if not select.select([self._descriptor], [], [], timeout_s)[0]:
                return b""
            data = os.read(self._descriptor, _EVENTS_READ * _EVENT.size)
        except OSError as error:  # ENODEV: unplugged
            raise ReaderLost(str(error.strerror)) from error
        if not data:
            raise ReaderLost("the device ended")
        return data

    def close(self) -> None:
        """See Source; the grab ends with it."""
        if self._is_open:
            self._is_open = False
            with contextlib.suppress(OSError):
                os.close(self._descriptor)


def open_keyboard_wedge(settings: ReaderSettings) -> Reader:
    """Open ``FORMAT:/dev/input/by-id/NAME``; formats are text (QR), hex, decimal and track2."""
    name, _, where = settings.path.partition(":")
    framer = KeyFramer(name)
    device = Device.parse(where, frozenset())
    source = EventSource.open(device.path)
    return ListeningReader(f"keyboard {device.path}", source, framer, QUIET_S)


READER = ReaderKind(name="keyboard_wedge", open=open_keyboard_wedge)
