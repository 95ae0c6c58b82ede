"""A terminal whose disk fails at its n-th call, for each n: run under strace's fault injection.

    python -m tests.edge.faulty_disk FOLDER SYSCALL CASES PATIENCE_S

strace counts the calls of each process and fails number STRACE_WHEN. Case n is a child that first
makes so many calls on a file of its own that n are left; it then runs a whole agent and writes what
it told its till, which insists on each order for PATIENCE_S, into FOLDER/n/told.json.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

from msgspec import Struct
from msgspec.json import encode

from edge.clock import Clock
from edge.errors import CannotAccept, EdgeError
from edge.order import Answer, AnswerState
from tests.edge.world import START_MS, assemble, close, coffee, identity, stocked_books

STRACE_WHEN = 400
ORDERS = ("o1", "o2", "o3", "o4")
# The agent's waits pass so much faster than real time.
HASTE = 50
# Cases at a time: most of one is waiting, for the disk and for what little HASTE leaves.
CASES_AT_ONCE = 5


class Told(Struct):
    """What the till heard. ``failed``: why the terminal did not start at all."""

    answers: list[Answer] = []
    refusals: int = 0
    failed: str = ""


def told_by(folder: Path, patience_s: float) -> Told:
    """Open the terminal in ``folder`` and tap for each order."""
    mono = time.monotonic
    clock = Clock(
        lambda: START_MS / 1000 + HASTE * mono(), lambda: HASTE * mono(), lambda: True, bytes(8)
    )
    try:
        books = stocked_books(folder, clock)
    except EdgeError as error:
        return Told(failed=error.code)
    agent = assemble(books, clock).agent
    told = Told()

    def till() -> None:
        try:
            told.answers.extend(map(_insist, ORDERS))
        finally:
            agent.stop()

    def _insist(order: str) -> Answer:
        end = mono() + patience_s
        answer = Answer(order=order, state=AnswerState.CANCELLED, code="cannot_accept")
        while mono() < end:
            try:
                answer = agent.counter.place(coffee(order))
            except CannotAccept:
                told.refusals += 1
                time.sleep(0.002)
                continue
            if answer.state is not AnswerState.WAITING:
                break
            agent.on_card(identity(), clock.mono_s())
        return answer

    thread = threading.Thread(target=till)
    thread.start()
    agent.run()
    thread.join()
    close(books)
    return told


def burn(call: str, count: int, file: Path) -> None:
    """Make ``count`` calls that must not fail."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT)
    for _ in range(count):
        if call == "fdatasync":
            os.fdatasync(descriptor)
        elif call == "ftruncate":
            os.ftruncate(descriptor, 0)
        else:
            os.pwrite(descriptor, b"x", 0)
    os.close(descriptor)


def main(folder: str, call: str, cases: str, patience_s: str) -> None:
    """Run every case, some at a time."""
    running: list[int] = []
    for number in range(int(cases)):
        place = Path(folder) / str(number)
        place.mkdir()
        child = os.fork()
        if child == 0:
            burn(call, STRACE_WHEN - 1 - number, place / "burnt")
            (place / "told.json").write_bytes(encode(told_by(place, float(patience_s))))
            os._exit(0)
        running.append(child)
        if len(running) >= CASES_AT_ONCE:
            os.waitpid(running.pop(0), 0)
    for child in running:
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
