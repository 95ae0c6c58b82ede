"""What systemd is told, over a socket as systemd opens it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge.health import Notifier


@pytest.fixture(params=["path", "abstract"])
def listening(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[socket.socket, str]]:
    name = str(tmp_path / "notify")
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as line:
        line.bind(name if request.param == "path" else "\0" + name)
        line.settimeout(5)
        yield line, name if request.param == "path" else "@" + name


def test_systemd_hears_of_it(listening: tuple[socket.socket, str]) -> None:
    line, address = listening
    notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "20000000"})
    assert notifier.beat_s == 10
    notifier.ready()
    notifier.beat()
    notifier.stopping()
    assert [line.recv(99) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]


def test_without_systemd_nothing_is_said() -> None:
    notifier = Notifier({})
    assert notifier.beat_s is None
    notifier.ready()
