"""Keeps one printer at work: prints what waits in a queue, with back-off, and knows how it is.

What is printed and where the queue is kept is left to others.
"""

from __future__ import annotations

import logging
import threading
from contextlib import closing
from enum import StrEnum
from typing import Protocol

from drivers.errors import PrinterLost, PrinterPaper
from drivers.printers.carrier import open_carrier
from drivers.printers.document import Receipt
from drivers.printers.job import Job, JobState
from drivers.printers.printer import PRINT_S, Printer
from drivers.supervise import BackOff
from protocol.errors import ProductError

# A printer with nothing to do is asked so often how it is.
LOOK_S = 10.0
# A stop waits no longer for a print: what it cannot confirm by then is unknown at the next start.
STOP_S = 5.0

_log = logging.getLogger(__name__)


class PrinterHealth(StrEnum):
    """How the printer is."""

    OPENING = "opening"
    READY = "ready"
    PAPER = "paper"  # it has none
    LOST = "lost"
    STOPPED = "stopped"


class PrintQueue(Protocol):
    """Where prints wait. Called from the supervisor's thread; each call returns once durable.

    A ProductError counts as trouble with the printer: nothing is printed without its queue.
    """

    def doubt(self) -> None:
        """Nothing is being printed: what is said to be is unknown."""

    def next(self) -> tuple[Job, Receipt] | None:
        """Return what is to be printed next."""

    def keep(self, job: Job) -> None:
        """Remember the job's new state."""


class PrintSupervisor:
    """One printer and its one thread. The printer is opened for each print: others may use it too.

    ``path`` as in carrier.open_carrier, ``width`` in columns, ``print_s`` as in Printer.
    """

    def __init__(
        self,
        path: str,
        width: int,
        queue: PrintQueue,
        back_off: BackOff | None = None,
        print_s: float = PRINT_S,
    ) -> None:
        self._path, self._width, self._queue = path, width, queue
        self._back_off, self._print_s = back_off or BackOff(), print_s
        self._stopping = threading.Event()
        self._news = threading.Event()
        self._failures = 0
        self._told = ""
        self._thread = threading.Thread(target=self._run, name="printer", daemon=True)
        self.health = PrinterHealth.OPENING

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End, at the latest after STOP_S."""
        self._stopping.set()
        self._news.set()
        if self._thread.ident is not None:
            self._thread.join(STOP_S)

    def wake(self) -> None:
        """Say that something waits; from any thread. A printer in trouble keeps its pause."""
        self._news.set()

    def turn(self) -> float:
        """Print the next job, or only ask the printer how it is; return the pause after it, in s.

        A print that came to a doubt counts as trouble, as nobody knows what the printer does now.
        """
        self._news.clear()
        try:
            self._queue.doubt()
            job = self._use()
        except ProductError as problem:
            return self._trouble(problem)
        self.health, self._failures, self._told = PrinterHealth.READY, 0, ""
        if job is None:
            return LOOK_S
        return 0.0 if job.state is JobState.PRINTED else self._trouble(PrinterLost(job.number))

    def _use(self) -> Job | None:
        """Return the job as it is after its print, None when none waits."""
        waiting = self._queue.next()
        with closing(open_carrier(self._path)) as carrier:
            printer = Printer(carrier, self._width, self._print_s)
            if waiting is not None:
                return printer.run(*waiting, self._queue.keep)
            printer.check_ready()
        return None

    def _trouble(self, problem: ProductError) -> float:
        """Note it, and tell of it once for each outage; return the pause."""
        paper = isinstance(problem, PrinterPaper)
        self.health = PrinterHealth.PAPER if paper else PrinterHealth.LOST
        self._failures += 1
        if self._told != problem.code:
            self._told = problem.code
            _log.warning("%s", problem)
        return self._back_off.delay_s(self._failures)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                pause_s = self.turn()
            except Exception:  # noqa: BLE001 - a thread that ended would never print again
                _log.exception("the printer's thread failed and goes on")
                self._failures += 1
                self.health = PrinterHealth.LOST
                pause_s = self._back_off.delay_s(self._failures)
            waits = self._stopping if self._failures else self._news
            waits.wait(pause_s)
        self.health = PrinterHealth.STOPPED
