"""Children start with a log, say why they did not, and never outlive their parent."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from provisioning.errors import DidNotStart
from provisioning.processes import Child, answers, free_port, wait_until

WAIT_S = 10.0
SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]


def _is_running(pid: int) -> bool:
    """Whether the kernel knows it as anything but a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_killed_child_is_gone_and_can_be_started_again(tmp_path: Path) -> None:
    child = Child("sleeper", SLEEPER, tmp_path / "log")
    child.start()
    first = child.pid
    assert first
    child.kill()
    assert child.pid is None
    assert not _is_running(first)
    child.start()
    assert child.pid not in (None, first)
    child.stop()
    child.stop()
    assert child.pid is None


def test_a_child_that_ignores_the_request_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioning.processes.TERMINATE_S", 0.2)
    program = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); "
    child = Child("deaf", [sys.executable, "-c", program + "time.sleep(60)"], tmp_path / "log")
    child.start()
    wait_until(lambda: "deaf" in child.log.read_text(), WAIT_S, "the child")
    child.stop()
    assert child.pid is None


def test_a_child_that_ends_at_once_shows_the_end_of_its_log(tmp_path: Path) -> None:
    child = Child("broken", [sys.executable, "-c", "raise SystemExit('no disk')"], tmp_path / "log")
    child.start()
    with pytest.raises(DidNotStart, match="no disk"):
        child.wait_ready(lambda: False, WAIT_S)


def test_a_child_that_is_never_ready_is_said_to_be_so(tmp_path: Path) -> None:
    child = Child("slow", SLEEPER, tmp_path / "log")
    child.start()
    try:
        with pytest.raises(DidNotStart, match="waited"):
            child.wait_ready(lambda: False, 0.1)
    finally:
        child.stop()


def test_the_exit_status_of_one_that_ends_by_itself(tmp_path: Path) -> None:
    child = Child("three", [sys.executable, "-c", "raise SystemExit(3)"], tmp_path / "log")
    child.start()
    assert child.wait(WAIT_S) == 3


def test_children_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path\n"
        "from provisioning.processes import Child\n"
        f"child = Child('sleeper', {SLEEPER!r}, Path({str(tmp_path / 'log')!r}))\n"
        "child.start(); print(child.pid, flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert _is_running(pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        wait_until(lambda: not _is_running(pid), WAIT_S, "the end of the child")


def test_a_free_port_is_one_that_nobody_answers_on() -> None:
    assert not answers(free_port())
