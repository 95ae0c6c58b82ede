"""A serial reader played on a pseudo-terminal: what it says, and its cable.

The frames that such readers send are made here too; reading them is left to the reader kinds.
"""

from __future__ import annotations

import contextlib
import os
import termios
import tty
from functools import reduce
from operator import xor
from pathlib import Path


class SerialLine:
    """A device at ``path`` in a folder of its own, which stays where it is over each plugging in.

    It keeps its own end of the line open, so readers may die and come again.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "serial"
        self._ends: tuple[int, int] | None = None
        self.plug()

    def plug(self) -> None:
        """Push the cable in."""
        self.unplug()
        master, slave = os.openpty()
        tty.setraw(slave, termios.TCSANOW)
        os.set_blocking(master, False)
        self._ends = master, slave
        self.path.symlink_to(os.ttyname(slave))

    def unplug(self) -> None:
        """Pull the cable: the path is gone, and what reads from the line is told so."""
        ends, self._ends = self._ends, None
        if ends:
            self.path.unlink()
            for end in ends:
                os.close(end)

    def say(self, data: bytes) -> None:
        """Send bytes; what nobody reads in time is lost, as on a line without flow control."""
        if self._ends:
            with contextlib.suppress(BlockingIOError):
                os.write(self._ends[0], data)


def em4100_frame(number: bytes) -> bytes:
    """What an RDM6300 sends of a tag's five bytes."""
    checked = number + bytes((reduce(xor, number),))
    return b"\x02" + checked.hex().upper().encode() + b"\x03"


def track_2_frame(account: str, data: str) -> bytes:
    """What a reader of stripes sends, with its check character."""
    said = f";{account}={data}?".encode()
    return said + bytes((0x30 | reduce(xor, said) & 0x0F,)) + b"\r\n"
