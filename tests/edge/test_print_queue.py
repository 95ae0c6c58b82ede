"""The queue of receipts on its disk: what may be on paper is a copy, whatever happened."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.printers.job import Job, JobEvent, JobState, step
from edge.errors import ReceiptsRefused
from edge.print_queue import WAITS_MS, PrintQueue
from tests.edge.paper import open_queue, place, receipt
from tests.edge.world import START_MS


@pytest.fixture(name="queue")
def _queue(tmp_path: Path) -> Iterator[PrintQueue]:
    queue = open_queue(tmp_path)
    yield queue
    queue.close()


def begin(queue: PrintQueue) -> Job:
    """Write down that the next job is being printed."""
    waiting = queue.next()
    assert waiting is not None
    job = step(waiting[0], JobEvent.STARTED)
    queue.keep(job)
    return job


def test_what_is_asked_waits_in_its_order_and_once(queue: PrintQueue) -> None:
    first = queue.ask(place(2), receipt(2))
    assert queue.ask(place(2), receipt(2)) == first == Job("t-1-2")
    queue.ask(place(1), receipt(1))
    assert queue.next() == (Job("t-1-1"), receipt(1))
    queue.keep(step(begin(queue), JobEvent.CONFIRMED))
    assert queue.next() == (Job("t-1-2"), receipt(2))


def test_what_was_begun_is_unknown_after_a_crash_and_then_a_copy(tmp_path: Path) -> None:
    queue = open_queue(tmp_path)
    queue.ask(place(1), receipt(1))
    begin(queue)
    again = open_queue(tmp_path)  # the one before was killed: nobody closed it
    again.doubt()
    assert again.next() is None
    assert again.known("t-1-1") == Job("t-1-1", JobState.UNKNOWN)
    for copy in (1, 2):
        assert again.ask(place(1), receipt(1)) == Job("t-1-1", copy=copy)
        again.keep(step(begin(again), JobEvent.CONFIRMED))
    again.close()
    queue.close()


def test_what_is_being_printed_is_not_asked_twice(queue: PrintQueue) -> None:
    queue.ask(place(1), receipt(1))
    assert queue.ask(place(1), receipt(1)) == Job("t-1-1")
    begin(queue)
    assert queue.ask(place(1), receipt(1)).state is JobState.PRINTING


def test_what_waited_too_long_is_not_printed_by_itself(tmp_path: Path) -> None:
    now_ms = [START_MS]
    queue = open_queue(tmp_path, wall_ms=lambda: now_ms[0])
    queue.ask(place(1), receipt(1))
    begin(queue)
    queue.doubt()
    queue.ask(place(1), receipt(1))
    queue.ask(place(2), receipt(2))
    now_ms[0] += WAITS_MS
    assert queue.next() is not None
    now_ms[0] += 1
    assert queue.next() is None
    assert queue.known("t-1-2") is None
    assert queue.ask(place(2), receipt(2)).copy == 0
    assert queue.ask(place(1), receipt(1)).copy == 2
    queue.close()


def test_a_queue_that_was_lost_takes_what_was_booked_for_printed(tmp_path: Path) -> None:
    queue = open_queue(tmp_path)
    queue.ask(place(7), receipt(7))
    queue.close()
    (tmp_path / "receipts.db").write_bytes(b"broken" * 999)
    again = open_queue(tmp_path, place(7))
    assert again.ask(place(7), receipt(7)).copy == 1
    assert again.ask(place(8), receipt(8)).copy == 0
    again.close()
    reopened = open_queue(tmp_path, place(9))
    assert reopened.ask(place(9), receipt(9)).copy == 0
    reopened.close()


def test_prints_go_with_their_records(queue: PrintQueue) -> None:
    for seq in (1, 2, 3):
        queue.ask(place(seq), receipt(seq))
    queue.forget(place(3))
    assert [queue.known(f"t-1-{seq}") is None for seq in (1, 2, 3)] == [True, True, False]


def test_a_disk_that_refuses_is_told(tmp_path: Path) -> None:
    queue = open_queue(tmp_path)
    other = sqlite3.connect(tmp_path / "receipts.db", isolation_level=None)
    other.execute("DROP TABLE prints")
    other.close()
    with pytest.raises(ReceiptsRefused):
        queue.ask(place(1), receipt(1))
    queue.close()


def test_a_file_that_cannot_be_opened_refuses_until_it_can(tmp_path: Path) -> None:
    """What was booked since nobody could queue; what was booked before may be on paper."""
    in_its_place = tmp_path / "receipts.db"
    in_its_place.mkdir()
    queue = open_queue(tmp_path, place(7))
    with pytest.raises(ReceiptsRefused, match="unable to open"):
        queue.doubt()
    for call in (
        lambda: queue.ask(place(8), receipt(8)),
        lambda: queue.known("t-1-8"),
        lambda: queue.forget(place(1)),
        queue.next,
    ):
        with pytest.raises(ReceiptsRefused, match="cannot be opened"):
            call()
    in_its_place.rmdir()
    queue.doubt()
    assert queue.ask(place(7), receipt(7)).copy == 1
    assert queue.ask(place(8), receipt(8)).copy == 0
    queue.close()


def test_a_file_that_cannot_say_where_it_begins_is_not_open(tmp_path: Path) -> None:
    open_queue(tmp_path).close()
    disk = sqlite3.connect(tmp_path / "receipts.db", isolation_level=None)
    disk.execute("DELETE FROM begun")
    full = "BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
    disk.execute(f"CREATE TRIGGER full BEFORE INSERT ON begun {full}")
    queue = open_queue(tmp_path, place(7))
    with pytest.raises(ReceiptsRefused, match="disk is full"):
        queue.doubt()
    disk.execute("DROP TRIGGER full")
    disk.close()
    with pytest.raises(ReceiptsRefused):
        queue.ask(place(7), receipt(7))
    queue.doubt()
    assert queue.ask(place(7), receipt(7)).copy == 1
    queue.close()
