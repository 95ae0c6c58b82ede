"""Programs that run as children: started with a log of their own, and never left behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from provisioning.errors import DidNotStart

# How often a condition is looked at: short against every start, and no load.
POLL_S = 0.02
# A program that is asked to end and does not within this time is killed.
TERMINATE_S = 5.0
LOG_TAIL_BYTES = 2000

_PR_SET_PDEATHSIG = 1  # prctl(2)
_prctl = ctypes.CDLL(None).prctl  # loaded before any fork: a child must not load libraries


def _die_with(parent: int) -> None:
    """Runs in the child: from now on the kernel kills it with ``parent``, which may be gone."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def free_port() -> int:
    """A TCP port of the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody accepts connections there."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Return once ``condition`` holds; DidNotStart naming ``what`` when it does not in time."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise DidNotStart(f"{what}, waited {timeout_s:g} s")
        time.sleep(POLL_S)


class Child:
    """A program as a child: killed with its parent, started again with the same words.

    The kernel ties a child to the *thread* that started it: start it from one that stays, which in
    our programs is the main thread. Its output goes to the end of ``log``.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name, self.log = name, log
        self._command, self._environment = list(command), dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        process = self._process
        return process.pid if process and process.poll() is None else None

    def start(self) -> None:
        """Start it; the caller waits until it is ready."""
        with self._lock, self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self._environment},
                start_new_session=True,  # Ctrl-C is ours; what it means for children we decide
                preexec_fn=partial(_die_with, os.getpid()),  # noqa: PLW1509 - two system calls
            )

    def wait_ready(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Return once ``ready`` holds; DidNotStart with the end of the log when it does not."""

        def settled() -> bool:
            return self.pid is None or ready()

        try:
            wait_until(settled, timeout_s, self.name)
        except DidNotStart as error:
            raise DidNotStart(f"{error.detail}: {self._log_tail()}") from error
        if self.pid is None:
            raise DidNotStart(f"{self.name} ended: {self._log_tail()}")

    def wait(self, timeout_s: float) -> int:
        """Return the exit status of a program that ends by itself; DidNotStart if it does not."""
        if self._process is None:
            raise DidNotStart(f"{self.name} was never started")
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise DidNotStart(f"{self.name} still runs after {timeout_s:g} s") from error

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._end(signal.SIGKILL, TERMINATE_S)

    def ask_to_end(self) -> None:
        """SIGTERM, without waiting."""
        self.hint(signal.SIGTERM)

    def stop(self) -> None:
        """SIGTERM; SIGKILL when that does not help. Never raises, and may be called again."""
        try:
            self._end(signal.SIGTERM, TERMINATE_S)
        except subprocess.TimeoutExpired:
            self._end(signal.SIGKILL, TERMINATE_S)

    def hint(self, number: signal.Signals) -> None:
        """Send a signal that does not end it (reload)."""
        if self._process and self.pid:
            self._process.send_signal(number)

    def _end(self, number: signal.Signals, timeout_s: float) -> None:
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
            self._process.wait(timeout_s)

    def _log_tail(self) -> str:
        return self.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()
