"""A private pcscd with two virtual slots, for software cards behind the real PC/SC.

Own socket, own ports, no privileges, many at once. Its slots listen on every interface, as vpcd
always does: it is for tests and for the demo.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

PCSCD = Path("/usr/sbin/pcscd")
DRIVER = Path("/usr/lib/pcsc/drivers/serial/libifdvpcd.so")

RUN_FOLDER = Path("/run/pcscd")
"""pcscd ends at once when this folder is missing and it may not make it."""

UNPRIVILEGED = "nobody"
"""Who runs it for root: as root every exit would delete the system instance's pid file."""

READY_S = 10.0
"""It takes a second; a loaded machine may take longer."""

FIRST_PORT, PORT_PAIRS = 20_000, 6_000
"""Below the ephemeral range, where no outgoing connection takes a port away in between."""

# The listening socket arrives as standard input and becomes the first descriptor that is passed
# the way systemd passes it (sd_listen_fds(3)); exec keeps the process number that LISTEN_PID names.
# It dies with the test process, also when that is killed.
LAUNCH = """export LISTEN_PID=$$ LISTEN_FDS=1
exec setpriv --pdeathsig KILL -- "$@" 3<&0 </dev/null"""


class Pcscd:
    """One pcscd; `ports` are the two slots' TCP ports, named in `readers` in the same order.

    The client library reads PCSCLITE_CSOCK_NAME once per process: a process talks to one pcscd in
    its life, so kill() and start() keep socket and ports.
    """

    readers = ("Virtual PCD 00 00", "Virtual PCD 00 01")

    def __init__(self, folder: Path) -> None:
        self.socket_path = folder / "pcscd.comm"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.ports = (0, 0)

    @property
    def environment(self) -> dict[str, str]:
        """The environment for a client process."""
        return os.environ | {"PCSCLITE_CSOCK_NAME": str(self.socket_path)}

    def start(self) -> None:
        """Start and wait until both slots listen; the first start finds free ports."""
        fixed = self.ports != (0, 0)
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if not fixed:
                self.ports = _free_pair()
            self._launch()
            if self._listens(deadline if fixed else min(deadline, time.monotonic() + READY_S / 2)):
                return
            self.kill()
        raise RuntimeError(f"pcscd does not listen: {self._log.read_text(errors='replace')}")

    def kill(self) -> None:
        """End it as a crash would, and wait until it is gone."""
        if self._process:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        self._process = None

    @property
    def _log(self) -> Path:
        return self._folder / "pcscd.log"

    def _launch(self) -> None:
        (self._folder / "readers").mkdir(exist_ok=True)
        (self._folder / "readers" / "vpcd").write_text(
            f'FRIENDLYNAME "Virtual PCD"\nDEVICENAME /dev/null:{self.ports[0]}\n'
            f"LIBPATH {DRIVER}\nCHANNELID {self.ports[0]}\n"
        )
        command = [str(PCSCD), "--foreground", "--info", *_no_polkit()]
        self.socket_path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listener, self._log.open("wb") as log:
            listener.bind(str(self.socket_path))
            listener.listen(16)
            _hand_over(self._folder)
            root = os.geteuid() == 0
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", LAUNCH, "sh", *command, "-c", str(self._folder / "readers")],
                stdin=listener.fileno(),
                stdout=log,
                stderr=log,
                user=UNPRIVILEGED if root else None,
                group=pwd.getpwnam(UNPRIVILEGED).pw_gid if root else None,
                extra_groups=[] if root else None,
            )

    def _listens(self, deadline: float) -> bool:
        """Whether both ports are in LISTEN before the deadline; connecting would insert a card."""
        while self._process and self._process.poll() is None and time.monotonic() < deadline:
            if set(self.ports) <= _listening():
                return True
            time.sleep(0.02)
        return False


def _free_pair() -> tuple[int, int]:
    while True:
        port = FIRST_PORT + 2 * secrets.randbelow(PORT_PAIRS)
        with contextlib.suppress(OSError), socket.socket() as one, socket.socket() as two:
            one.bind(("", port))
            two.bind(("", port + 1))
            return port, port + 1


def _listening() -> set[int]:
    """TCP ports in state LISTEN (0A), from the kernel's table."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A"}


def _no_polkit() -> list[str]:
    """The switch of pcscd 2: without it, it refuses whoever sits at no screen."""
    described = subprocess.run([PCSCD, "--help"], capture_output=True, text=True, check=False)
    return ["--disable-polkit"] if "--disable-polkit" in described.stdout else []


def _hand_over(folder: Path) -> None:
    """Let the unprivileged user have the folder that root made."""
    if os.geteuid() == 0:
        RUN_FOLDER.mkdir(exist_ok=True)
        user = pwd.getpwnam(UNPRIVILEGED)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, user.pw_uid, user.pw_gid)


@contextlib.contextmanager
def running_pcscd() -> Iterator[Pcscd]:
    """A pcscd for as long as the block lasts; its folder is short, as socket paths must be."""
    folder = Path(tempfile.mkdtemp(prefix="pcscd-"))
    pcscd = Pcscd(folder)
    try:
        pcscd.start()
        yield pcscd
    finally:
        pcscd.kill()
        shutil.rmtree(folder)


def may_run() -> bool:
    """Whether a private pcscd can be started here and its client library is installed."""
    there = PCSCD.exists() and DRIVER.exists() and find_spec("smartcard") is not None
    return there and (os.geteuid() == 0 or RUN_FOLDER.exists())
