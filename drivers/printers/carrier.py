"""The ways to a printer: serial line, USB path, network and file; what is sent is not known."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import serial

from drivers.errors import PrinterLost, PrinterRefused

BAUD = 9600  # what most receipt printers are delivered with
PORT = 9100  # raw printing
CONNECT_S = 3.0
READ_BYTES = 64


class Carrier(Protocol):
    """An open way to a printer. ``answers``: the printer can say something back."""

    answers: bool

    def write(self, data: bytes, timeout_s: float) -> None:
        """Send all of it; PrinterLost when that fails or takes longer."""

    def read(self, timeout_s: float) -> bytes:
        """Return what came within ``timeout_s``, b"" for nothing; PrinterLost."""

    def close(self) -> None:
        """Give it back; never raises."""


class DescriptorCarrier:
    """A way that is a file descriptor: a device of the kernel's usblp, a connection, a pty."""

    answers = True

    def __init__(self, descriptor: int, give_back: Callable[[], None]) -> None:
        self._descriptor, self._give_back = descriptor, give_back
        os.set_blocking(descriptor, False)

    def write(self, data: bytes, timeout_s: float) -> None:
        """See Carrier."""
        end, rest = time.monotonic() + timeout_s, memoryview(data)
        try:
            while rest:
                left = end - time.monotonic()
                if left <= 0 or not select.select([], [self._descriptor], [], left)[1]:
                    raise PrinterLost("it takes no more bytes")
                rest = rest[os.write(self._descriptor, rest) :]
        except (OSError, ValueError) as error:
            raise PrinterLost(str(error)) from error

    def read(self, timeout_s: float) -> bytes:
        """See Carrier."""
        try:
            if not select.select([self._descriptor], [], [], timeout_s)[0]:
                return b""
            data = os.read(self._descriptor, READ_BYTES)
        except (OSError, ValueError) as error:
            raise PrinterLost(str(error)) from error
        if not data:
            raise PrinterLost("the connection ended")
        return data

    def close(self) -> None:
        """See Carrier."""
        with contextlib.suppress(OSError):
            self._give_back()


class FileCarrier:
    """A file that keeps what would be printed; what is on the disk counts as printed."""

    answers = False

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, data: bytes, timeout_s: float) -> None:
        """See Carrier."""
        del timeout_s
        try:
            with self._path.open("ab") as paper:
                paper.write(data)
                paper.flush()
                os.fsync(paper.fileno())
        except OSError as error:
            raise PrinterLost(str(error)) from error

    def read(self, timeout_s: float) -> bytes:
        """See Carrier: it says nothing."""
        del timeout_s
        return b""

    def close(self) -> None:
        """See Carrier."""


def check_path(path: str) -> None:
    """PrinterRefused for a path that ``open_carrier`` could never open."""
    way, _, where = path.partition(":")
    if way not in _WAYS or not where:
        raise PrinterRefused(f"'{path}' is not one of {', '.join(_WAYS)} and a place")
    _, _, port = where.partition(":")
    if way == "network" and not (port or "0").isdecimal():
        raise PrinterRefused(f"'{port}' is no port")


def open_carrier(path: str) -> Carrier:
    """Open ``serial:/dev/NAME``, ``usb:/dev/usb/lp0``, ``network:HOST[:PORT]`` or ``file:PATH``.

    PrinterLost when it is not there now, PrinterRefused for a path that means nothing.
    """
    check_path(path)
    way, _, where = path.partition(":")
    try:
        return _WAYS[way](where)
    except (OSError, ValueError, termios.error) as error:  # SerialException is an OSError
        raise PrinterLost(str(error)) from error


def _serial(where: str) -> Carrier:
    line = serial.Serial(where, BAUD, timeout=0, exclusive=True)
    line.reset_input_buffer()
    return DescriptorCarrier(line.fileno(), line.close)


def _usb(where: str) -> Carrier:
    descriptor = os.open(where, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    return DescriptorCarrier(descriptor, lambda: os.close(descriptor))


def _network(where: str) -> Carrier:
    host, _, port = where.partition(":")
    connection = socket.create_connection((host, int(port or PORT)), CONNECT_S)
    return DescriptorCarrier(connection.fileno(), connection.close)


_WAYS: dict[str, Callable[[str], Carrier]] = {
    "serial": _serial,
    "usb": _usb,
    "network": _network,
    "file": lambda where: FileCarrier(Path(where)),
}
