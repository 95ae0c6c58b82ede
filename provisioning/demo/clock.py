"""The day's own clock: twelve hours in some seconds, which waits for what has to happen first."""

from __future__ import annotations

import time
from threading import Event, Lock

OPENS_H, HOURS = 8, 12
# How often a waiting customer looks at a clock that stands still.
LOOK_S = 0.02


class DayClock:
    """Parts of the day, 0 to 1, in ``length_s`` seconds of real time.

    It does not pass ``next_at``, the time of the next incident: when one takes longer than planned
    the clock stands there, and nothing that comes behind it in the story happens before it.
    """

    def __init__(self, length_s: float, next_at: float) -> None:
        self._length_s, self._next_at = length_s, next_at
        self._start = time.monotonic()
        self._lock = Lock()

    def now(self) -> float:
        """The part of the day that is over."""
        with self._lock:
            return min(self._running(), self._next_at)

    def go_on(self, next_at: float) -> None:
        """The incident at which it may have stood begins; the next is at ``next_at``."""
        with self._lock:
            late_s = (self._running() - self._next_at) * self._length_s
            self._start += max(0.0, late_s)
            self._next_at = next_at

    def wait_for(self, at: float, stop: Event) -> None:
        """Return when it is ``at``, or when the day is stopped."""
        while not stop.is_set() and (left := at - self.now()) > 0:
            stop.wait(max(left * self._length_s, LOOK_S))

    def after(self, seconds: float) -> str:
        """What the clock on the wall will show in ``seconds`` of real time, if nothing stops it."""
        with self._lock:
            return _shown(self._running() + seconds / self._length_s)

    def __str__(self) -> str:
        return _shown(self.now())

    def _running(self) -> float:
        return (time.monotonic() - self._start) / self._length_s


def _shown(at: float) -> str:
    minutes = OPENS_H * 60 + int(min(at, 1.0) * HOURS * 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
