"""A record on disk: chained, signed and committed, beside one fdatasync of the same bytes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from edge.journal import Journal
from tests.bench.row import Bench, Progress, Row, median, quantile
from tests.powercut.writer import IDENTITY
from tests.protocol.world import sale

ROUNDS, RECORDS = 7, 400
RATIO_MAX = 3.0


def measure(folder: Path, progress: Progress) -> Sequence[Row]:
    """Interleaved rounds; the median of the rounds' medians and of their 99th percentiles."""
    journal = Journal(folder / "journal.db", IDENTITY)
    data = journal.append(sale(journal.head)).data
    floor_file = os.open(folder / "floor", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def floor() -> None:
        os.write(floor_file, data)
        os.fdatasync(floor_file)

    def append() -> None:
        journal.append(sale(journal.head))

    floors, appends = list[list[float]](), list[list[float]]()
    for number in range(ROUNDS):
        progress(f"round {number + 1} of {ROUNDS}")
        floors.append([_ms(floor) for _ in range(RECORDS)])
        appends.append([_ms(append) for _ in range(RECORDS)])
    os.close(floor_file)
    journal.close()
    bottom, p50 = median([median(each) for each in floors]), median([median(e) for e in appends])
    p99 = median([quantile(each, 0.99) for each in appends])
    floor_text = f"fdatasync of {len(data)} bytes: {bottom:.3f} ms"
    ratios = [median(a) / median(f) for a, f in zip(appends, floors, strict=True)]
    return (
        Row(name="record durable, p50", value=p50, unit="ms", floor=floor_text),
        Row(name="record durable, p99", value=p99, unit="ms"),
        Row(
            name="record durable, p50 against the floor",
            value=median(ratios),
            unit="×",
            bar=RATIO_MAX,
            floor=floor_text,
        ),
    )


def _ms(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


BENCH = Bench("The terminal's journal", 0.5, measure)
