"""The journal as a durable queue, beside the queues that others use, at the same durability.

Unequal work, to the journal's disadvantage: it also chains and signs each record and looks for the
order's id. To its advantage: it acknowledges by a watermark for 50 records, as it does at work;
the others offer one call a record.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import litequeue
import persistqueue

from edge.journal import Journal
from tests.bench.row import Bench, Progress, Row, median, seconds
from tests.powercut.writer import IDENTITY
from tests.protocol.world import sale

ROUNDS, RECORDS = 7, 300
GROUP = 50
# As large as a usual record.
BODY = json.dumps({"body": "x" * 385})


def _journal(folder: Path) -> Callable[[], None]:
    journal = Journal(folder / "journal.db", IDENTITY)

    def work() -> None:
        for _ in range(RECORDS):
            journal.append(sale(journal.head))
        for seq in range(journal.head.seq - RECORDS + GROUP, journal.head.seq + 1, GROUP):
            journal.read(seq - GROUP + 1, GROUP)
            journal.acknowledge(seq, b"w" * 200)

    return work


def _persist_queue(folder: Path) -> Callable[[], None]:
    queue = persistqueue.SQLiteAckQueue(str(folder / "persist"), auto_commit=True)

    def work() -> None:
        for _ in range(RECORDS):
            queue.put(BODY)
        for _ in range(RECORDS):
            queue.ack(queue.get())

    return work


def _litequeue(folder: Path) -> Callable[[], None]:
    queue = litequeue.LiteQueue(str(folder / "lite.db"))
    queue.conn.execute("PRAGMA synchronous = FULL")

    def work() -> None:
        for _ in range(RECORDS):
            queue.put(BODY)
        for _ in range(RECORDS):
            message = queue.pop()
            queue.done(message.message_id)

    return work


def measure(folder: Path, progress: Progress) -> Sequence[Row]:
    """Records a second through enqueue and acknowledgement, interleaved."""
    works = {
        "journal": _journal(folder),
        "persist-queue": _persist_queue(folder),
        "litequeue": _litequeue(folder),
    }
    rates: dict[str, list[float]] = {name: [] for name in works}
    for number in range(ROUNDS):
        progress(f"round {number + 1} of {ROUNDS}")
        for name, work in works.items():
            rates[name].append(RECORDS / seconds(work))
    best = {name: median(each) for name, each in rates.items()}
    peers = [f"{name} {best[name]:,.0f}/s" for name in ("persist-queue", "litequeue")]
    return (
        Row(
            name="durable enqueue + acknowledged",
            value=best["journal"],
            unit="records/s",
            bar=max(best["persist-queue"], best["litequeue"]),
            at_most=False,
            peer=", ".join(peers),
        ),
    )


BENCH = Bench("The journal as a durable queue", 0.5, measure)
