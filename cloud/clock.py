"""The time that the cloud tells its terminals, which never goes back. Clocks come from wiring.

Terminals take an older word for a repeat of the past: a clock that was ahead and is set right
would silence the cloud until the true time has caught up, or lift a revocation.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog
from sqlalchemy import Connection, func, select

from cloud.storage.schema import terminals

# A machine's clock goes back by less when the network corrects it.
WENT_BACK_MS = 1_000

_log = structlog.get_logger()


class RisingClock:
    """UTC in ms since 1970: ``wall_ms``, but never below what it said before, or ``newest_ms``.

    Any thread may ask.
    """

    def __init__(self, wall_ms: Callable[[], int], newest_ms: int) -> None:
        self._wall_ms, self._newest_ms = wall_ms, newest_ms
        self._lock = threading.Lock()
        self._is_behind = False

    def __call__(self) -> int:
        """The time to tell."""
        with self._lock:
            now_ms = self._wall_ms()
            self._newest_ms = max(self._newest_ms, now_ms)
            self._note(self._newest_ms - now_ms)
            return self._newest_ms

    def _note(self, behind_ms: int) -> None:
        is_behind = behind_ms > WENT_BACK_MS
        if is_behind and not self._is_behind:
            _log.error("clock_went_back", by_ms=behind_ms)
        self._is_behind = is_behind


def newest_time(connection: Connection) -> int:
    """The latest time at which the database heard of a terminal; 0 when it never did.

    No record was received later: whatever takes records in notes that it heard of their terminal.
    """
    return connection.execute(select(func.max(terminals.c.heard_ms))).scalar() or 0
