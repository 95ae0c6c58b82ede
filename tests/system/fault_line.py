"""A line that is worse than cut: broken in the middle of a message, slow, hanging, half-open."""

from __future__ import annotations

import contextlib
import socket
import threading

from provisioning.line import Line, end

# Smaller than a TLS record with a batch in it, so that a break leaves half of one.
_PIECE_BYTES = 512


class FaultLine(Line):
    """Faultless until it is told otherwise. ``broke`` is set whenever a break has happened."""

    def __init__(self, target_port: int) -> None:
        self.broke = threading.Event()
        self._pause_s = 0.0
        self._left: int | None = None
        self._flows, self._closing = threading.Event(), threading.Event()
        self._flows.set()
        self._dead: set[socket.socket] = set()
        self._counting = threading.Lock()
        super().__init__(target_port)

    def close(self) -> None:
        """See Line."""
        self._closing.set()
        self._flows.set()
        super().close()

    def break_after(self, count: int) -> None:
        """Once: after ``count`` more bytes, both ways together, everything open is dropped."""
        self.broke.clear()
        with self._counting:
            self._left = count

    def slow(self, pause_s: float) -> None:
        """Wait before each piece of 512 bytes."""
        self._pause_s = pause_s

    def hang(self) -> None:
        """Carry nothing and end nothing, until ``go_on``; what came is not lost."""
        self._flows.clear()

    def go_on(self) -> None:
        """See hang."""
        self._flows.set()

    def half_open(self) -> None:
        """Forget what is open, as a router that lost its table: neither side hears of it."""
        with self._lock:
            self._dead |= self._open

    def _pour(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while (piece := source.recv(_PIECE_BYTES)) and source not in self._dead:
                self._closing.wait(self._pause_s)
                self._flows.wait()
                self._pass(piece, sink)
        if source in self._dead:
            self._closing.wait()
        end(source, sink)

    def _pass(self, piece: bytes, sink: socket.socket) -> None:
        """Hand a piece on, or its first part when the line breaks in it."""
        with self._counting:
            here = None if self._left is None else min(self._left, len(piece))
            breaks = here is not None and here < len(piece)
            if here is not None and self._left is not None:
                self._left = None if breaks else self._left - here
        if not breaks:
            sink.sendall(piece)
            return
        # Whoever hung up a moment before must not take the break along.
        with contextlib.suppress(OSError):
            sink.sendall(piece[:here])
        self.cut()
        self.mend()
        self.broke.set()
