"""What carries the sync flow out: batches from the disk, and a disk that refuses in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.books import Books, Situation
from edge.errors import JournalRefused
from edge.relay import Relay
from edge.sync_flow import RETRY_MS, LineUp, Phase
from protocol import batch, watermark
from protocol.record import read
from protocol.topics import Up
from protocol.watermark import Standing, Watermark
from tests.edge.world import AT, CLOUD_KEY, START_MS, Time, close, coffee, stocked_books, tap


class Line:
    """A line that takes everything, and keeps it for the test."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.is_up = True

    def publish(self, leaf: Up, payload: bytes) -> int | None:
        assert leaf is Up.TX
        if not self.is_up:
            return None
        self.batches.append(batch.unpack(payload))
        return len(self.batches)


@pytest.fixture
def time_() -> Time:
    return Time()


@pytest.fixture
def books(tmp_path: Path, time_: Time) -> Iterator[Books]:
    books = stocked_books(tmp_path, time_.clock)
    for number in range(120):
        books.book(tap(coffee(f"o{number}", 99)), Situation(online=True, closed=""))
    yield books
    close(books)


def mark(books: Books, upto: int) -> tuple[Watermark, bytes]:
    """A watermark of our history, and its signed bytes."""
    hash_ = books.journal.hash_at(upto)
    assert hash_ is not None
    told = Watermark(
        terminal=AT.terminal, epoch=1, upto_seq=upto, head_hash=hash_, server_ms=START_MS
    )
    return told, watermark.issue(told, CLOUD_KEY)


def test_batches_are_full_and_in_order(books: Books, time_: Time) -> None:
    line = Line()
    relay = Relay(books, time_.clock, line, Standing.ACTIVE)
    relay.feed(LineUp())
    assert [len(each) for each in line.batches] == [50, 50, 22]
    seqs = [read(data)[0].record.seq for each in line.batches for data in each]
    assert seqs == list(range(1, 123))
    assert relay.queue == 122
    relay.receive(*mark(books, 122))
    assert (relay.queue, books.journal.acked_seq) == (0, 122)


def test_new_records_follow_at_once(books: Books, time_: Time) -> None:
    line = Line()
    relay = Relay(books, time_.clock, line, Standing.ACTIVE)
    relay.feed(LineUp())
    books.book(tap(None), Situation(online=True, closed=""))
    relay.appended()
    assert [len(each) for each in line.batches] == [50, 50, 22, 1]


def test_a_disk_that_refuses_to_be_read_delays_and_loses_nothing(books: Books, time_: Time) -> None:
    line = Line()
    relay = Relay(books, time_.clock, line, Standing.ACTIVE)
    books.journal.close()
    with pytest.raises(JournalRefused):
        relay.feed(LineUp())
    assert not relay.state.asked
    assert line.batches == []
    books.reopen()
    time_.passes(RETRY_MS)
    relay.tick()
    assert sum(map(len, line.batches)) == 122


def test_a_disk_that_refuses_a_watermark_is_told_again(books: Books, time_: Time) -> None:
    line = Line()
    relay = Relay(books, time_.clock, line, Standing.ACTIVE)
    relay.feed(LineUp())
    told = mark(books, 100)
    own_hash = books.journal.hash_at
    books.journal.close()
    with pytest.raises(JournalRefused):
        relay.receive(*told)
    books.reopen()
    assert own_hash(100) == told[0].head_hash
    assert books.journal.acked_seq == 0
    relay.receive(*told)
    assert books.journal.acked_seq == 100
    assert not relay.state.asked


def test_a_line_that_takes_nothing_is_asked_again(books: Books, time_: Time) -> None:
    line = Line()
    line.is_up = False
    relay = Relay(books, time_.clock, line, Standing.ACTIVE)
    relay.feed(LineUp())
    assert relay.state.phase is Phase.LINE_UP
    line.is_up = True
    time_.passes(RETRY_MS)
    relay.tick()
    assert sum(map(len, line.batches)) == 122
