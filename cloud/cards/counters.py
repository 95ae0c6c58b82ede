"""Counts the reads of tags: whoever comes while a transaction runs joins the next one.

A commit waits for the disk; so the disk is waited for once by all who are there, and not by each.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from cloud.cards.model import TagRead
from cloud.cards.store import raise_counters
from cloud.errors import TagCopied
from cloud.storage.engine import Database


class _Waiting:
    """A read whose counter is not in the database yet."""

    __slots__ = ("error", "read", "risen")

    def __init__(self, read: TagRead) -> None:
        self.read = read
        self.risen: bool | None = None
        self.error: Exception | None = None


class TagCounters:
    """The counters of all tags. ``clock_ms`` gives UTC in ms since 1970; for any thread."""

    def __init__(self, database: Database, clock_ms: Callable[[], int]) -> None:
        self._database = database
        self._clock_ms = clock_ms
        self._turn = Lock()
        self._waiting: list[_Waiting] = []
        self._changing = Lock()

    def admit(self, read: TagRead) -> None:
        """Count a read that was verified; TagCopied unless it is newer than all before.

        It is on the disk when this returns; StorageDown when it cannot be.
        """
        mine = _Waiting(read)
        with self._changing:
            self._waiting.append(mine)
        with self._turn:
            if mine.risen is None and mine.error is None:
                self._commit()
        if mine.error is not None:
            raise mine.error
        if not mine.risen:
            raise TagCopied

    def _commit(self) -> None:
        """Count all that wait, or tell all of them why that failed."""
        with self._changing:
            together, self._waiting = self._waiting, []
        try:
            with self._database.write() as connection:
                reads = [each.read for each in together]
                risen = raise_counters(connection, reads, self._clock_ms())
        except Exception as error:  # noqa: BLE001  (each of those who wait must hear it)
            for each in together:
                each.error = error
            return
        for each, rose in zip(together, risen, strict=True):
            each.risen = rose
