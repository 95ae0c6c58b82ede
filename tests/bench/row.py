"""What a benchmark is, and what it reports."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

HEADS = ("row", "median", "bar", "holds", "floor in the same run", "peer in the same run")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure. ``floor`` and ``peer`` say what was measured beside it, in the same run.

    ``at_most`` tells on which side of ``bar`` good lies; a row without a bar only informs.
    ``cells`` are what a page shows of it where the bench has columns of its own.
    """

    name: str
    value: float
    unit: str
    bar: float | None = None
    at_most: bool = True
    floor: str = ""
    peer: str = ""
    cells: tuple[str, ...] = ()

    @property
    def holds(self) -> bool | None:
        """Whether the bar is met; None when there is none."""
        if self.bar is None:
            return None
        return self.value <= self.bar if self.at_most else self.value >= self.bar


Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Bench:
    """``measure(folder, progress)`` returns rows; ``folder`` is empty and on the disk under test.

    ``minutes`` is about how long it takes. A bench that cannot run here raises Unavailable. Its
    table stands in ``page`` of docs, under HEADS or the ``heads`` of its rows' cells.
    """

    title: str
    minutes: float
    measure: Callable[[Path, Progress], Sequence[Row]]
    page: str = "performance.md"
    heads: tuple[str, ...] = HEADS


class Unavailable(Exception):
    """What this benchmark needs is not on this machine; the text names it."""


def quantile(samples: Sequence[float], share: float) -> float:
    """The sample below which ``share`` of all lie."""
    return sorted(samples)[min(len(samples) - 1, int(share * len(samples)))]


def median(samples: Sequence[float]) -> float:
    """The middle sample."""
    return statistics.median(samples)


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
