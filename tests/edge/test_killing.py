"""kill -9 of the agent at random instants: what a till heard is on disk, and nothing twice."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

from edge.inspection import verify
from run import ROOT
from tests.edge.killing import open_order
from tests.edge.world import close, new_books, owner

ROUNDS = 50


def test_fifty_kills_lose_nothing_and_book_nothing_twice(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    command = [sys.executable, "-m", "tests.edge.killing", str(tmp_path), str(ROUNDS), str(seed)]
    subprocess.run(command, check=True, cwd=ROOT, timeout=100)

    lines = [line.split() for line in (tmp_path / "till").read_text().splitlines()]
    heard = {order: tid for state, order, *tids in lines for tid in tids if state != "placed"}
    books = new_books(tmp_path)
    records = [record for record in books.journal.since(0, 0) if record.order]
    on_disk = {record.order: record.tid.hex() for record in records}
    assert len(on_disk) == len(records), f"seed {seed}: an order was booked twice"
    assert heard.items() <= on_disk.items(), f"seed {seed}: heard, and not on disk"
    assert on_disk.keys() - heard.keys() <= {open_order(tmp_path)}, f"seed {seed}"
    verify(tmp_path / "journal.db", owner())
    assert len({order.split("-")[0] for order in heard}) > ROUNDS // 2, "too few rounds tapped"
    close(books)
