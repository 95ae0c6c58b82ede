"""A serial reader played on a pseudo-terminal: what it says, and its cable.

The frames that such readers send are made here too; reading them is left to the reader kinds.
"""

from __future__ import annotations

from functools import reduce
from operator import xor
from pathlib import Path

from drivers.virtual.pty import Pty


class SerialLine:
    """A device at ``path`` in a folder of its own, the same path each time it is plugged in."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "serial"
        self._pty: Pty | None = None
        self.plug()

    def plug(self) -> None:
        """Push the cable in."""
        self.unplug()
        self._pty = Pty()
        self.path.symlink_to(self._pty.path)

    def unplug(self) -> None:
        """Pull the cable: the path is gone, and what reads from the line is told so."""
        pty, self._pty = self._pty, None
        if pty:
            self.path.unlink()
            pty.close()

    def say(self, data: bytes) -> None:
        """Send bytes; what nobody reads in time is lost, as on a line without flow control."""
        if self._pty:
            self._pty.say(data)


def track_2_frame(account: str, data: str) -> bytes:
    """What a reader of stripes sends, with its check character."""
    said = f";{account}={data}?".encode()
    return said + bytes((0x30 | reduce(xor, said) & 0x0F,)) + b"\r\n"
