"""A machine with a real systemd as its first process, in namespaces on this one. Root alone may."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import run
from provisioning.processes import wait_until

BOOT_S = 60.0
COMMAND_S = 120.0
_BOOT = Path(__file__).with_name("boot.sh")
_PATH = "/opt/tapledger/venv/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENVIRONMENT = ["env", "-i", f"PATH={_PATH}", "LANG=C.UTF-8"]
_NAMESPACES = ["--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child"]
# A cgroup of its own first: the machine must not take the root of ours for its own.
_OUTSIDE = """
mount --make-rprivate / && mount -t cgroup2 cgroup2 "$1" && mkdir "$1/$2" || exit
echo $$ >"$1/$2/cgroup.procs" && umount "$1" || exit
shift 2
exec unshare "$@"
"""
_CLEAN = """
mount --make-rprivate / && mount -t cgroup2 cgroup2 "$1" || exit
find "$1/$2" -depth -type d -exec rmdir {} + 2>/dev/null
"""


@cache
def obstacle() -> str | None:
    """Say why no machine can be booted here; None when one can."""
    if os.geteuid() != 0:
        return "not root"
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    if not any(line.split()[4] == "/" for line in mounts):
        return "inside a chroot, whose root cannot be changed"
    tried = subprocess.run(
        ["unshare", *_NAMESPACES, "true"], capture_output=True, text=True, check=False
    )
    return tried.stderr.strip() or None


class Machine:
    """Runs commands as root inside; ``first`` is the process id of its systemd, seen from here."""

    def __init__(self, first: int) -> None:
        self.first = first

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a shell script; the caller looks at its status."""
        return subprocess.run(
            ["nsenter", f"--target={self.first}", "--all", *_ENVIRONMENT, "sh", "-euc", script],
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_S,
        )

    def succeeds(self, script: str) -> bool:
        """Whether the script ends with status 0."""
        return self.run(script).returncode == 0


@contextmanager
def booted(folder: Path) -> Iterator[Machine]:
    """Boot a machine, and end all of it; ``folder`` is empty again afterwards."""
    mount, name = folder / "mount", f"tapledger-{os.getpid()}"
    mount.mkdir()
    inside = [*_NAMESPACES, "sh", str(_BOOT), str(mount), str(run.ROOT), sys.base_prefix]
    with (folder / "boot.log").open("w") as log:
        outer = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", _OUTSIDE, "sh", str(mount), name, *inside],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        machine = Machine(_first_process(outer, folder))
        wait_until(lambda: machine.succeeds("systemctl is-active basic.target"), BOOT_S, "boot")
        yield machine
    finally:
        outer.kill()  # unshare takes the first process with it, and that takes all others
        outer.wait()
        clean = ["unshare", "--mount", "sh", "-c", _CLEAN, "sh", str(mount), name]
        wait_until(lambda: subprocess.run(clean, check=False).returncode == 0, BOOT_S, "the end")


def _first_process(outer: subprocess.Popen[bytes], folder: Path) -> int:
    """Return the process id of the child that becomes systemd."""
    children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")

    def started() -> bool:
        assert outer.poll() is None, (folder / "boot.log").read_text()
        found = children.read_text().split()
        return bool(found) and Path(f"/proc/{found[0]}/comm").read_text().strip() == "systemd"

    wait_until(started, BOOT_S, "systemd")
    return int(children.read_text().split()[0])
