"""A pseudo-terminal on which a serial device is played; what it says is left to the device."""

from __future__ import annotations

import contextlib
import os
import termios
import tty


class Pty:
    """A raw line without flow control: a host opens ``path``, the device reads ``end``.

    It keeps the host's end open as well, so hosts may die and come again.
    """

    def __init__(self) -> None:
        self.end, self._slave = os.openpty()
        tty.setraw(self._slave, termios.TCSANOW)
        os.set_blocking(self.end, False)
        self.path = os.ttyname(self._slave)

    def say(self, data: bytes) -> None:
        """Send bytes to the host; what nobody reads in time is lost."""
        with contextlib.suppress(BlockingIOError):
            os.write(self.end, data)

    def close(self) -> None:
        """Pull the cable: the host's next read or write fails."""
        os.close(self.end)
        os.close(self._slave)
