"""Simulated time: calls in the order of their moments, drawn from one seed."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random

# What everybody's clock says when a simulation begins, in ms since 1970.
START_MS = 1_790_000_000_000


class Clockwork:
    """A heap of (time, counter, call). Nothing in a simulation knows another clock."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now_ms = 0
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._counter = 0

    def wall_ms(self) -> int:
        """Return the time of day, in ms since 1970."""
        return START_MS + self.now_ms

    def after(self, delay_ms: float, call: Callable[[], None]) -> None:
        """Make ``call`` happen ``delay_ms`` from now."""
        self._counter += 1
        heapq.heappush(self._heap, (self.now_ms + int(delay_ms), self._counter, call))

    def soon(self, mean_ms: float, call: Callable[[], None]) -> None:
        """Make ``call`` happen after a time drawn from an exponential distribution."""
        self.after(self.random.expovariate(1 / mean_ms), call)

    def chance(self, probability: float) -> bool:
        """Draw an event of ``probability``."""
        return self.random.random() < probability

    def run(self, until_ms: int) -> None:
        """Make everything happen that is due before ``until_ms``."""
        while self._heap and self._heap[0][0] < until_ms:
            self.now_ms, _, call = heapq.heappop(self._heap)
            call()
        self.now_ms = until_ms
