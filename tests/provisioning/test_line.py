"""A line carries, is cut in the middle, and carries again."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from provisioning.line import Line

WAIT_S = 5.0


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that sends back what it reads."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                while piece := connection.recv(4096):
                    connection.sendall(piece)
            except OSError:
                return

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture
def line(echo: int) -> Iterator[Line]:
    line = Line(echo)
    yield line
    line.close()


def _connect(line: Line) -> socket.socket:
    return socket.create_connection(("127.0.0.1", line.port), timeout=WAIT_S)


def _echoed(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    return connection.recv(4096)


def _ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def test_it_carries_both_ways(line: Line) -> None:
    with _connect(line) as connection:
        assert _echoed(connection, b"there") == b"there"
        assert _echoed(connection, b"and back") == b"and back"


def test_a_cut_drops_what_is_open_and_what_comes(line: Line) -> None:
    with _connect(line) as connection:
        assert _echoed(connection, b"before") == b"before"
        line.cut()
        assert _ended(connection)
    with _connect(line) as connection:
        assert _ended(connection)


def test_a_mended_line_carries_again(line: Line) -> None:
    line.cut()
    line.mend()
    with _connect(line) as connection:
        assert _echoed(connection, b"after") == b"after"


def test_a_closed_line_takes_nobody(line: Line) -> None:
    line.close()
    with pytest.raises(OSError, match="refused"):
        _connect(line)
