"""A line between a site and the broker that can be cut: a TCP relay on the loopback address."""

from __future__ import annotations

import contextlib
import socket
import threading

_PIECE_BYTES = 64 * 1024


class Line:
    """Relays every connection to ``port`` to ``target_port`` (both of 127.0.0.1).

    While it is cut, connections are dropped and new ones end at once, as behind a router whose
    line is down. It reads no byte of what it carries.
    """

    def __init__(self, target_port: int) -> None:
        self._target = ("127.0.0.1", target_port)
        self._whole = True
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name=f"line {self.port}", daemon=True).start()

    def cut(self) -> None:
        """Drop what is open, and everything that comes, until ``mend``."""
        with self._lock:
            self._whole = False
            end(*self._open)

    def mend(self) -> None:
        """Carry connections again."""
        with self._lock:
            self._whole = True

    def close(self) -> None:
        """Cut it for good and give the port back."""
        self.cut()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        with near, contextlib.suppress(OSError):
            if not self._whole:
                return
            with socket.create_connection(self._target) as far:
                self._carry(near, far)

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        with self._lock:
            if not self._whole:
                return
            self._open |= {near, far}
        for each in (near, far):  # Nagle here would add delays that neither end asked for
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=self._pour, args=(far, near), daemon=True)
        back.start()
        self._pour(near, far)
        back.join()
        with self._lock:
            self._open -= {near, far}

    def _pour(self, source: socket.socket, sink: socket.socket) -> None:
        """Copy until either side ends, then end both. How else lines behave, a child says."""
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE_BYTES):
                sink.sendall(piece)
        end(source, sink)


def end(*connections: socket.socket) -> None:
    """End connections for both of their sides."""
    for connection in connections:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
