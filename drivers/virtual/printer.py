"""A receipt printer in software: renders ESC/POS bytes back into lines, and answers its status.

It knows the commands that drivers.printers sends, by Epson's reference, and notes every other one
as an error; text is read by its own tables, wrapped at the paper's edge as a print head does.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
from dataclasses import dataclass, field

from drivers.virtual.pty import Pty

_ESC, _FS, _GS, _DLE = 0x1B, 0x1C, 0x1D, 0x10
_LF = 0x0A
_PC858 = 19


@dataclass
class Paper:
    """What is on the paper so far, and how the printer is. ``width`` in columns."""

    width: int = 32
    lines: list[str] = field(default_factory=list)
    strong: list[str] = field(default_factory=list)
    centred: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    cuts: int = 0
    errors: list[str] = field(default_factory=list)
    has_paper: bool = True
    dies_after: int | None = None  # bytes of a print, counted from now

    def __post_init__(self) -> None:
        """Switch it on."""
        self._rest = b""
        self._reset()

    def feed(self, data: bytes) -> bytes:
        """Take bytes as they come and return what the printer says to them."""
        if self.dies_after is not None:
            data, self.dies_after = data[: self.dies_after], max(0, self.dies_after - len(data))
        self._rest += data
        said = b""
        while self._rest:
            taken, answer = self._next(self._rest)
            if not taken:
                break
            self._rest = self._rest[taken:]
            said += answer
        return b"" if self.dies_after == 0 else said

    def _reset(self) -> None:
        self._line, self._used = "", 0
        self._kanji = self._is_strong = self._is_centred = False
        self._page, self._stored = 0, b""

    def _next(self, data: bytes) -> tuple[int, bytes]:
        """Carry out what stands first; its bytes (0: more must come), and the answer."""
        if data[0] in (_ESC, _FS, _GS, _DLE):
            return self._command(data)
        if data[0] == _LF:
            self._end_line()
            return 1, b""
        if data[0] < 0x20:
            self.errors.append(f"control {data[0]:02X}")
            return 1, b""
        length = self._character_bytes(data)
        if len(data) < length:
            return 0, b""
        self._put(data[:length])
        return length, b""

    def _character_bytes(self, data: bytes) -> int:
        if not self._kanji or data[0] < 0x80:
            return 1
        return 4 if data[1:2] and data[1] < 0x40 else 2

    def _put(self, code: bytes) -> None:
        page = "cp858" if self._page == _PC858 else "cp437"
        char = code.decode("gb18030" if len(code) > 1 else page, "replace")
        wide = 2 if len(code) > 1 else 1
        if self._used + wide > self.width:
            self._end_line()
        self._line, self._used = self._line + char, self._used + wide

    def _end_line(self) -> None:
        if self.has_paper:
            self.lines.append(self._line)
            if self._is_strong:
                self.strong.append(self._line)
            if self._is_centred:
                self.centred.append(self._line)
        self._line, self._used = "", 0

    def _command(self, data: bytes) -> tuple[int, bytes]:
        match tuple(data[:3]):
            case (0x1B, 0x40, *_):
                self._reset()
                return 2, b""
            case (0x1C, 0x26 | 0x2E as mode, *_):
                self._kanji = mode == 0x26
                return 2, b""
            case (0x1D, 0x28, 0x6B):
                return self._symbol(data)
            case (0x1D, 0x56, 0x42):
                self.cuts += len(data) > 3 and self.has_paper
                return (4 if len(data) > 3 else 0), b""
            case (first, second, value):
                return self._setting(first, second, value)
            case _:
                return 0, b""

    def _setting(self, first: int, second: int, value: int) -> tuple[int, bytes]:
        answer = b""
        match first, chr(second):
            case 0x1B, "a":
                self._is_centred = value == 1
            case 0x1B, "E":
                self._is_strong = value == 1
            case 0x1B, "t":
                self._page = value
            case 0x1D, "r":
                answer = b"\x00" if self.has_paper else b"\x0c"
            case 0x10, "\x04":
                answer = b"\x12" if self.has_paper else b"\x72"
            case _:
                self.errors.append(f"command {first:02X} {second:02X}")
                return 1, b""
        return 3, answer

    def _symbol(self, data: bytes) -> tuple[int, bytes]:
        """GS ( k: length in two bytes, then symbol, function and parameters."""
        length = 5 + int.from_bytes(data[3:5], "little")
        if len(data) < max(5, length):
            return 0, b""
        body = data[5:length]
        if body.startswith(b"1P0"):
            self._stored = body[3:]
        elif body == b"1Q0" and self.has_paper:
            self.codes.append(self._stored.decode())
        elif body[:2] not in (b"1A", b"1C", b"1E", b"1Q"):
            self.errors.append(f"symbol {body[:2]!r}")
        return length, b""


class VirtualPrinter:
    """The paper behind a pseudo-terminal (``serial``) and a port of the loopback (``network``)."""

    def __init__(self, paper: Paper | None = None) -> None:
        self.paper = paper or Paper()
        self._pty = Pty()
        self.serial = f"serial:{self._pty.path}"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.network = f"network:127.0.0.1:{self._listener.getsockname()[1]}"
        self._stop = os.eventfd(0)
        self._clients: dict[int, socket.socket] = {}
        self._thread = threading.Thread(target=self._serve, name="virtual printer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Pull its plug."""
        if self._thread.is_alive():
            os.eventfd_write(self._stop, 1)
            self._thread.join()
            self._pty.close()
            os.close(self._stop)
            for each in (self._listener, *self._clients.values()):
                each.close()

    def _serve(self) -> None:
        while True:
            asked = [self._stop, self._pty.end, self._listener.fileno(), *self._clients]
            ready = select.select(asked, [], [])[0]
            if self._stop in ready:
                return
            for descriptor in ready:
                self._attend(descriptor)

    def _attend(self, descriptor: int) -> None:
        if descriptor == self._listener.fileno():
            client = self._listener.accept()[0]
            self._clients[client.fileno()] = client
            return
        data = b""
        with contextlib.suppress(ConnectionError, BlockingIOError):
            data = os.read(descriptor, 4096)
            os.write(descriptor, self.paper.feed(data))
        if not data and descriptor in self._clients:
            self._clients.pop(descriptor).close()
