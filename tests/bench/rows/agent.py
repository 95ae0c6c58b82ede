"""The agent as a process: from start to ready, and what it holds in memory after some taps."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from random import Random

from provisioning.demo.town import Terminal
from provisioning.processes import Child
from tests.bench.row import Bench, Progress, Row, median, seconds
from tests.system.counter import Counter
from tests.system.rig import Rig, running_rig

LIVES, TAPS = 5, 200
START_S, RESIDENT_MB = 2.0, 90.0
# Far longer than it takes: a bench that waits for nothing must end.
READY_S = 30.0


def measure(folder: Path, progress: Progress) -> Sequence[Row]:
    """Medians of LIVES starts, each followed by TAPS taps."""
    starts, resident = list[float](), list[float]()
    with running_rig(folder / "town", "nats") as rig:
        terminal = rig.terminals["t-0001"]
        terminal.agent.stop()
        counter = Counter(rig, "t-0001", Random(1))
        for life in range(LIVES):
            progress(f"life {life + 1} of {LIVES}")
            agent, listener = _observed(rig, terminal)
            with listener:
                starts.append(seconds(partial(_start, agent, listener)))
            for _ in range(TAPS):
                counter.tap()
            resident.append(_resident_mb(agent.pid or 0))
            agent.stop()
        counter.close()
    bare = [seconds(_nothing) for _ in range(LIVES)]
    return (
        Row(
            name="agent, start to ready",
            value=median(starts),
            unit="s",
            bar=START_S,
            floor=f"Python that does nothing: {median(bare):.2f} s",
        ),
        Row(
            name=f"agent, resident memory after {TAPS} taps",
            value=median(resident),
            unit="MB",
            bar=RESIDENT_MB,
        ),
    )


def _observed(rig: Rig, terminal: Terminal) -> tuple[Child, socket.socket]:
    """The terminal's agent, not started, and the socket on which it will say that it is ready."""
    path = terminal.folder / "notify"
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(path))
    listener.settimeout(READY_S)
    command = [sys.executable, "-m", "edge", "--config", str(terminal.folder / "edge.toml")]
    return Child("agent", command, rig.logs / "bench.log", {"NOTIFY_SOCKET": str(path)}), listener


def _nothing() -> None:
    subprocess.run([sys.executable, "-c", ""], check=True)


def _start(agent: Child, listener: socket.socket) -> None:
    agent.start()
    while listener.recv(256) != b"READY=1":
        pass


def _resident_mb(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1024


BENCH = Bench("The agent as a process", 0.8, measure)
