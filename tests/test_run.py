"""run.py, in a checkout whose locks ask for nothing: when it sets up, and what it passes on."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import run

PROGRAM = """
import os, sys
print("became", sys.argv[1:], os.getcwd())
sys.exit(7)
"""
PROCESSOR_S_MAX = 0.3  # of a call that finds everything installed, whatever else the machine does


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copy(run.__file__, tmp_path)
    for lock in (run.BUILD, run.RUNTIME, run.DEV):
        (tmp_path / lock.name).write_text("# nothing\n")
    (tmp_path / "provisioning").mkdir()
    (tmp_path / "provisioning" / "__init__.py").touch()
    (tmp_path / "provisioning" / "__main__.py").write_text(PROGRAM)
    return tmp_path


def call(
    checkout: Path, *arguments: str, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(checkout / "run.py"), *arguments]
    return subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def test_the_command_gets_options_folder_and_gives_its_status(
    checkout: Path, tmp_path: Path
) -> None:
    (elsewhere := tmp_path / "elsewhere").mkdir()
    done = call(checkout, "demo", "--json", "out.json", cwd=elsewhere)
    assert done.returncode == 7, done.stdout + done.stderr
    assert f"became ['demo', '--json', 'out.json'] {elsewhere}" in done.stdout


def test_a_second_call_sets_nothing_up_and_is_fast(checkout: Path) -> None:
    assert "Python packages" in call(checkout, "demo").stdout
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert call(checkout, "demo").stdout.startswith("became")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert spent < PROCESSOR_S_MAX


def test_an_interrupted_installation_starts_anew(checkout: Path) -> None:
    call(checkout, "demo")
    (checkout / ".venv" / "unfinished").touch()
    (half_written := checkout / ".venv" / "lib" / "half_written").touch()
    assert "Python packages" in call(checkout, "demo").stdout
    assert not half_written.exists()
    assert call(checkout, "demo").stdout.startswith("became")


def test_a_changed_lock_is_installed(checkout: Path) -> None:
    call(checkout, "demo")
    (checkout / run.RUNTIME.name).write_text("# nothing again\n")
    assert "Python packages" in call(checkout, "demo").stdout


def test_a_failed_installation_says_what_to_do(checkout: Path) -> None:
    (checkout / run.RUNTIME.name).write_text(f"absent @ {(checkout / 'absent.whl').as_uri()}\n")
    failed = call(checkout, "demo")
    assert failed.returncode == 1
    assert "absent" in failed.stdout
    assert "run this again" in failed.stderr
    assert "became" not in failed.stdout


@pytest.mark.parametrize("arguments", [["nonsense"], ["check", "--fix"]])
def test_what_is_no_command_is_refused(checkout: Path, arguments: list[str]) -> None:
    refused = call(checkout, *arguments)
    assert refused.returncode == 2
    assert "usage" in refused.stdout


def test_the_development_lock_holds_the_runtime_lock() -> None:
    pins = {
        lock: {line for line in lock.read_text().splitlines() if "==" in line}
        for lock in (run.RUNTIME, run.DEV)
    }
    assert pins[run.RUNTIME]
    assert pins[run.RUNTIME] - pins[run.DEV] == set()
