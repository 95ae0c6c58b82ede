"""Ctrl-C ends a command wherever Python happens to be."""

from __future__ import annotations

import subprocess
import sys

# Destructors, and whatever else Python calls on its own, cannot raise: it would be forgotten there.
PROGRAM = """
import os, signal, sys, time
import provisioning.__main__ as program

class Ending:
    def __del__(self):
        os.kill(os.getpid(), signal.{name})
        for _ in range(1000):
            pass

def command(prog_name):
    Ending()
    time.sleep(30)

program.app = command
program.main()
"""


def ended_by(name: str) -> int:
    """Exit status of a command that a signal met in a destructor."""
    program = PROGRAM.format(name=name)
    return subprocess.run([sys.executable, "-c", program], timeout=20, check=False).returncode


def test_an_interrupt_in_a_destructor_is_not_forgotten() -> None:
    assert [ended_by(name) for name in ("SIGINT", "SIGTERM")] == [130, 130]
