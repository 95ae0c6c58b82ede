"""What the tests of receipts share: receipts, a queue, and what stands on the paper."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from drivers.printers.document import COPY, Receipt, Row
from drivers.virtual.printer import Paper
from edge.pending import START, Place
from edge.print_queue import PrintQueue
from tests.edge.world import START_MS


def receipt(seq: int) -> Receipt:
    """The receipt of the record ``seq``, headed by its number."""
    return Receipt(f"t-1-{seq}", (Row(f"No {seq}"), Row("咖啡", "¥5.00")), "TR1:PROOF")


def place(seq: int) -> Place:
    return Place(1, seq)


def open_queue(
    folder: Path, head: Place = START, wall_ms: Callable[[], int] = lambda: START_MS
) -> PrintQueue:
    return PrintQueue(folder / "receipts.db", head, wall_ms)


def begun(paper: Paper) -> list[tuple[str, bool]]:
    """Each receipt whose head came out, with whether COPY stands above it."""
    above = ["", *paper.lines]
    pairs = zip(above, paper.lines, strict=False)
    return [(line, mark.startswith(COPY)) for mark, line in pairs if line.startswith("No ")]
