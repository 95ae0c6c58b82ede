"""One print from queue to paper: what is written down when, and how a printer says that it did it.

Real-time status (DLE EOT) is asked before; behind the last byte a status that is answered in its
turn (GS r), so that its answer means that all before it was taken off the printer's buffer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from drivers.errors import PrinterLost, PrinterPaper
from drivers.printers.carrier import Carrier
from drivers.printers.document import Receipt
from drivers.printers.escpos import WIDTH_58_MM, encode
from drivers.printers.job import Job, JobEvent, step

# A receipt of 2 kB takes 2 s on a line of 9,600 bit/s; the slowest heads print 5 cm a second.
PRINT_S = 15.0
STATUS_S = 1.0

_ASK_PAPER_NOW = b"\x10\x04\x04"
_PAPER_END_NOW = 0x60  # DLE EOT 4: bits 5 and 6
_ASK_PAPER_BEHIND = b"\x1dr\x01"
_PAPER_END_BEHIND = 0x0C  # GS r 1: bits 2 and 3
_STATUS_MASK, _STATUS_NOW = 0x93, 0x12  # DLE EOT: bits 1 and 4 are set, 0 and 7 are not
_STATUS_BEHIND_MASK = 0x90  # GS r: bits 4 and 7 are not set


@dataclass(frozen=True, slots=True)
class Printer:
    """An open printer with paper of ``width`` columns."""

    carrier: Carrier
    width: int = WIDTH_58_MM
    print_s: float = PRINT_S

    def run(self, job: Job, receipt: Receipt, keep: Callable[[Job], None]) -> Job:
        """Print a queued job and return it as it is then; ``keep`` writes each state to disk.

        A job that is not queued is left alone. PrinterLost or PrinterPaper before a byte of it
        left: it is still queued.
        """
        started = step(job, JobEvent.STARTED)
        if started == job:
            return job
        data = encode(receipt, self.width, copy=job.copy)
        self.check_ready()
        keep(started)
        done = step(started, self._print(data))
        keep(done)
        return done

    def check_ready(self) -> None:
        """PrinterLost unless it answers, PrinterPaper unless it has paper."""
        if not self.carrier.answers:
            return
        while self.carrier.read(0.0):
            pass  # words of an earlier print answer nothing here
        self.carrier.write(_ASK_PAPER_NOW, STATUS_S)
        status = self._heard(_STATUS_MASK, _STATUS_NOW, STATUS_S)
        if status is None:
            raise PrinterLost("it does not say how it is")
        if status & _PAPER_END_NOW:
            raise PrinterPaper

    def _print(self, data: bytes) -> JobEvent:
        """Anything that goes wrong from here on leaves a doubt, whatever it is."""
        try:
            self.carrier.write(data, self.print_s)
            if not self.carrier.answers:
                return JobEvent.CONFIRMED
            self.carrier.write(_ASK_PAPER_BEHIND, STATUS_S)
            status = self._heard(_STATUS_BEHIND_MASK, 0, self.print_s)
        except PrinterLost:
            return JobEvent.DOUBTED
        there = status is not None and not status & _PAPER_END_BEHIND
        return JobEvent.CONFIRMED if there else JobEvent.DOUBTED

    def _heard(self, mask: int, expected: int, timeout_s: float) -> int | None:
        """Return the first byte of that form within ``timeout_s``."""
        end = time.monotonic() + timeout_s
        while (left := end - time.monotonic()) > 0:
            for byte in self.carrier.read(left):
                if byte & mask == expected:
                    return byte
        return None
