"""Readers that are only listened to: a line that says each card or code, and never when it leaves.

A source gives bytes, a framer finds what was read in them; that it is presented once and counts as
taken away after a quiet time is here. Which line and which frames is left to the reader kinds.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from drivers.errors import CardGone
from drivers.reader import Presented, Technology

# What can be waiting: people stand in a row no longer than this, and a mad device is cut short.
WAITING_MAX = 16
# Longest that one look at a line lasts, so that a quiet time is noticed.
LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class Finding:
    """What one frame said: a number and how it was written, or the text of a code.

    Not shown: both name a card.
    """

    number: bytes = b""
    text: str = ""
    number_format: str = ""

    def __repr__(self) -> str:
        """Say which of the two it is."""
        return "Finding(text)" if self.text else "Finding(number)"


class Source(Protocol):
    """A line that is open."""

    def read(self, timeout_s: float) -> bytes:
        """Return what came within ``timeout_s``, b"" for nothing; ReaderLost when it is gone."""

    def close(self) -> None:
        """Give the device back; never raises, and may be called again."""


# Takes what came and when (monotonic clock, seconds), and returns what is complete with it. It
# keeps a bounded rest, raises nothing, and leaves out what is no frame.
Framer = Callable[[bytes, float], list[Finding]]


class ListeningReader:
    """See Reader. ``quiet_s``: what was not said again for so long was taken away."""

    def __init__(self, name: str, source: Source, framer: Framer, quiet_s: float) -> None:
        self._name, self._source, self._framer = name, source, framer
        self._quiet_s = quiet_s
        self._waiting: deque[Finding] = deque(maxlen=WAITING_MAX)
        self._shown = Finding()
        self._heard_at = 0.0

    def wait_for_card(self, timeout_s: float) -> Presented | None:
        """See Reader."""
        end = time.monotonic() + timeout_s
        while not self._waiting:
            left = end - time.monotonic()
            self._listen(max(0.0, left))
            if left <= 0 and not self._waiting:
                return None
        self._shown, self._heard_at = self._waiting.popleft(), time.monotonic()
        if self._shown.text:
            text = self._shown.text
            return Presented(self._name, b"", technology=Technology.QR, text=text)
        number, written = self._shown.number, self._shown.number_format
        only_a_number = Technology.NUMBER
        return Presented(self._name, b"", number, technology=only_a_number, number_format=written)

    def transmit(self, command: bytes, deadline_s: float) -> bytes:
        """See Reader: nothing can be said to what is shown here."""
        del command, deadline_s
        raise CardGone("this reader only listens")

    def wait_for_removal(self, timeout_s: float) -> bool:
        """See Reader; what is shown next has also taken the place of what was."""
        end = time.monotonic() + timeout_s
        while True:
            while self._waiting and self._waiting[0] == self._shown:
                self._waiting.popleft()
                self._heard_at = time.monotonic()
            now = time.monotonic()
            if self._waiting or now - self._heard_at >= self._quiet_s:
                return True
            if now >= end:
                return False
            self._listen(min(end, self._heard_at + self._quiet_s) - now)

    def close(self) -> None:
        """See Reader."""
        self._source.close()

    def _listen(self, timeout_s: float) -> None:
        data = self._source.read(min(timeout_s, LOOK_S))
        self._waiting.extend(self._framer(data, time.monotonic()))
