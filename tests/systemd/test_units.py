"""The units load without a complaint and keep a program to what it needs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.systemd

FOLDER = Path(__file__).parents[2] / "systemd"
UNITS = sorted(FOLDER.glob("*.service"))
# systemd's own scale from 0 (best) to 10; the bar of the product is 2.0.
EXPOSURE_MAX_TENTHS = 20


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_is_understood(unit: Path, tmp_path: Path) -> None:
    """`verify` wants the program to be there, so each unit runs a stand-in of the same line."""
    text = unit.read_text()
    programs = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    assert len(programs) == 1
    program = programs[0].removeprefix("ExecStart=").split()[0]
    copy = tmp_path / unit.name
    copy.write_text(text.replace(f"ExecStart={program}", "ExecStart=/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(copy)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_is_kept_small(unit: Path) -> None:
    done = subprocess.run(
        [
            "systemd-analyze",
            "security",
            "--offline=true",
            f"--threshold={EXPOSURE_MAX_TENTHS}",
            "--no-pager",
            str(unit),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout[-400:]


def test_every_unit_names_a_user_that_sysusers_makes() -> None:
    made = {
        line.split()[1]
        for line in (FOLDER / "tapledger.sysusers").read_text().splitlines()
        if line.startswith("u ")
    }
    named = {
        line.removeprefix("User=")
        for unit in UNITS
        for line in unit.read_text().splitlines()
        if line.startswith("User=")
    }
    assert named == made
