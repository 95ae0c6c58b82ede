"""The clocks of a gateway under test, and waiting until something is so."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.cloud.town import MORNING_MS

DEADLINE_S = 20.0


class Clocks:
    """It is always morning, and time goes on: nothing of the gateway waits for a time."""

    @staticmethod
    def wall_ms() -> int:
        return MORNING_MS

    @staticmethod
    def mono_s() -> float:
        return time.monotonic()


def until(condition: Callable[[], bool], what: str) -> None:
    """Return once ``condition`` holds; fail with ``what`` after DEADLINE_S."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)
