"""Kills an agent with SIGKILL at drawn instants, again and again, on the same journal.

    python -m tests.edge.killing FOLDER ROUNDS SEED

Each round is a child that is killed while it taps. What its till placed and heard is in
FOLDER/till, a line each; the order that was open is placed again in the next round.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

from edge.clock import Clock
from edge.order import AnswerState
from tests.edge.world import START_MS, assemble, coffee, identity, new_books, stocked_books

# Long enough to get through opening the files, and for a few dozen taps.
LIFE_S = 0.25


def live(folder: Path, round_: int) -> None:
    """Tap until killed."""
    mono = time.monotonic
    clock = Clock(lambda: START_MS / 1000 + mono(), mono, lambda: True, bytes(8))
    books = stocked_books(folder, clock) if round_ == 0 else new_books(folder, clock)
    agent = assemble(books, clock).agent
    till = os.open(folder / "till", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def order_coffee(order: str) -> None:
        os.write(till, f"placed {order}\n".encode())
        answer = agent.counter.place(coffee(order))
        if answer.state is AnswerState.WAITING:
            agent.on_card(identity(), mono())
            answer = agent.counter.answer(order, 10)
        os.write(till, f"{answer.state} {order} {answer.tid}\n".encode())

    def shop() -> None:
        left = open_order(folder)
        if left:
            order_coffee(left)
        for number in range(10_000):
            order_coffee(f"r{round_}-{number}")

    threading.Thread(target=shop, daemon=True).start()
    agent.run()


def open_order(folder: Path) -> str:
    """The order whose answer the till did not hear."""
    lines = (folder / "till").read_text().splitlines()
    last = lines[-1].split() if lines else []
    return last[1] if last and last[0] == "placed" else ""


def main(folder: str, rounds: str, seed: str) -> None:
    """Let each round live for a drawn time."""
    draw = random.Random(int(seed))
    (Path(folder) / "till").touch()
    for round_ in range(int(rounds)):
        child = os.fork()
        if child == 0:
            live(Path(folder), round_)
            os._exit(1)
        time.sleep(draw.uniform(0.02, LIFE_S))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
