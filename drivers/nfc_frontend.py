"""nfcpy made safe to live with: one owner per serial line, a deadline on the air, quiet logs.

Only this file loads nfcpy (10 MB, 85 ms). When to look for a card, and what an error means for the
card, is left to the reader kind.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import time
from typing import Any

import nfc
import nfc.clf.pn532
import nfc.clf.transport
import nfc.tag
import serial

TTY_PREFIX = "tty:/"
# A line that takes no bytes for this long is not connected to anything that works.
WRITE_TIMEOUT_S = 1.0
# nfcpy gives the chip 100 ms to acknowledge; on a loaded machine the bytes may be there and this
# program not have had its turn. It costs time only where the chip is silent.
LEAST_WAIT_MS = 500

_RATS = 0xE0  # request for answer to select (ISO/IEC 14443-4, 5.6.1)
_CHIP_TIMEOUT = 0x01  # the target has not answered (PN532 user manual, 7.1)
_SPEAKS_ISO_DEP = 0x20  # SAK bit (ISO/IEC 14443-3, table 9)
_SPEAKS_MORE = 0x60  # SAK bits: ISO-DEP, NFC-DEP

# nfcpy turns this on for the whole process, and logs an error for every card that is taken away.
logging.captureWarnings(capture=False)
logging.getLogger("nfc").setLevel(logging.CRITICAL)

AirError = (nfc.clf.CommunicationError, nfc.tag.TagCommandError)
Silence = nfc.clf.TimeoutError  # the one of them that is no answer at all


class Line(nfc.clf.transport.TTY):  # type: ignore[misc]  # nfcpy has no types
    """A serial line that two programs cannot share by mistake, and that can be cut from outside."""

    cut = False

    def open(self, port: str, baudrate: int = 115_200) -> None:
        """Open the port for this program alone."""
        self.close()
        self.tty: serial.Serial | None = serial.Serial(
            port, baudrate, timeout=0.05, write_timeout=WRITE_TIMEOUT_S, exclusive=True
        )
        # An FTDI adapter otherwise holds back each answer for up to 16 ms; other lines need nothing
        # and refuse it.
        with contextlib.suppress(OSError, ValueError, NotImplementedError):
            self.tty.set_low_latency_mode(True)

    def read(self, timeout: float) -> Any:
        """Return one frame; OSError when none comes within ``timeout`` ms or the line was cut."""
        if self.cut:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        return super().read(max(timeout, LEAST_WAIT_MS))

    def close(self) -> None:
        """Give the port back, also one whose device is gone."""
        tty, self.tty = self.tty, None
        if tty is not None:
            tty.close()


class Frontend(nfc.ContactlessFrontend):  # type: ignore[misc]  # as above
    """nfcpy's frontend with a deadline for whatever is going on, and the last ATS kept.

    nfcpy repeats a lost block up to five times and grants every wish for more time, so a limit for
    one block is none for the exchange.
    """

    def __init__(self) -> None:
        super().__init__()
        self.deadline = math.inf  # monotonic clock, seconds
        self.ats = b""
        self._line: Line | None = None
        self._settled: tuple[Any, float] = (None, 0.0)

    def attach(self, path: str) -> None:
        """Open the device at ``path``: nfcpy's own paths, or ``tty:/dev/NAME`` for a PN532."""
        if not path.startswith(TTY_PREFIX):
            if not self.open(path):
                raise OSError(errno.ENODEV, f"no reader at '{path}'")
            return
        self._line = Line(path.removeprefix("tty:"))
        self.device = nfc.clf.pn532.init(self._line)
        self.device._path = path  # noqa: SLF001 - nfcpy's own opener sets it the same way

    def exchange(self, send_data: Any, timeout: float) -> Any:
        """Exchange one block, within what is left until the deadline."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise nfc.clf.TimeoutError("deadline")
        timeout = min(timeout, left)
        target, chip_timeout = self._settled
        if target is not None and target is self.target and timeout <= chip_timeout:
            return self._exchange_settled(send_data, timeout)
        answer = super().exchange(send_data, timeout)
        if self._line is not None:
            self._settled = self.target, timeout
        if send_data and send_data[0] == _RATS:
            self.ats = bytes(answer)
        return answer

    def _exchange_settled(self, send_data: Any, timeout: float) -> Any:
        """Exchange one block with a PN532 whose registers are as the last exchange left them.

        nfcpy reads and writes them and sets the time limit again before each block: three commands
        more, which behind a USB-serial chip with a latency timer of 16 ms is what a person feels.
        """
        # A Type 2 card acknowledges with 4 bits, so there nfcpy checks the checksums itself.
        communicate = self.device.chipset.in_communicate_thru
        if self.target.sel_res and not self.target.sel_res[0] & _SPEAKS_MORE:
            communicate = self.device._tt2_send_cmd_recv_rsp  # noqa: SLF001 - no other way in
        try:
            return communicate(bytearray(send_data), timeout + 0.1)
        except nfc.clf.pn532.Chipset.Error as error:
            if error.errno == _CHIP_TIMEOUT:
                raise nfc.clf.TimeoutError(str(error)) from error
            raise nfc.clf.TransmissionError(str(error)) from error
        except OSError as error:
            if error.errno == errno.ETIMEDOUT:
                raise nfc.clf.TimeoutError(str(error)) from error
            raise

    def look(self, *technologies: str) -> Any:
        """Return the first card in the field (nfcpy's RemoteTarget) or None."""
        return self.sense(*(nfc.clf.RemoteTarget(name) for name in technologies))

    def activate(self, target: Any) -> Any:
        """Start ISO-DEP with a found card and return nfcpy's tag; None for one that has none."""
        self.ats = b""
        if target.brty.endswith("A") and target.sel_res and target.sel_res[0] & _SPEAKS_ISO_DEP:
            return nfc.tag.activate(self, target)
        return nfc.tag.activate(self, target) if target.brty.endswith("B") else None

    def cut(self) -> None:
        """Wake a thread that waits for the device; for another thread."""
        if self._line is not None:
            self._line.cut = True
            tty = self._line.tty
            if tty is not None:
                tty.cancel_read()

    def detach(self) -> None:
        """Switch the field off and give the device back, in whatever state it is."""
        with contextlib.suppress(Exception):
            self.close()
        if self._line is not None:
            self._line.close()
