"""What carries the sync flow out: batches from the disk, and a disk that refuses in the middle."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from edge.books import Books, Situation
from edge.cache import Cache
from edge.errors import JournalRefused
from edge.journal import Journal
from edge.relay import UNHEARD_MS, Relay
from edge.sync_flow import FORKED, HISTORY_DIFFERS, RETRY_MS, LineUp, Phase
from protocol import batch, watermark
from protocol.record import read
from protocol.topics import Up
from protocol.watermark import Standing, Watermark
from tests.edge.world import AT, CLOUD_KEY, START_MS, Time, close, coffee, owner, stocked_books, tap


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


def heard(relay: Relay, time_: Time, milliseconds: int) -> bool:
    """Whether the ledger is heard when so much time has passed."""
    time_.passes(milliseconds)
    relay.appended()
    return relay.is_heard()


def test_a_ledger_that_takes_nothing_is_not_heard(books: Books, time_: Time) -> None:
    relay = Relay(books, time_.clock, Line(), Standing.ACTIVE)
    relay.feed(LineUp())
    relay.receive(*mark(books, 122))
    assert heard(relay, time_, 2 * UNHEARD_MS), "nothing waits"
    books.book(tap(None), Situation(online=True, closed=""))
    assert heard(relay, time_, 0)
    assert heard(relay, time_, UNHEARD_MS - 1)
    books.book(tap(None), Situation(online=True, closed=""))
    assert not heard(relay, time_, 1), "a newer record does not make the older one heard"
    relay.receive(*mark(books, 123))
    assert heard(relay, time_, UNHEARD_MS - 1), "it took something, and takes more"
    assert not heard(relay, time_, 1)
    relay.receive(*mark(books, 123))
    assert not heard(relay, time_, 0), "it said the same again and took nothing"
    lost, _ = mark(books, 120)
    lost = structs.replace(lost, server_ms=START_MS + 1)
    relay.receive(lost, watermark.issue(lost, CLOUD_KEY))
    assert (relay.queue, heard(relay, time_, 0)) == (4, False), "it lost some and took nothing"


@pytest.mark.parametrize("step_ms", [-3_600_000, 3_600_000])
def test_a_clock_that_is_set_changes_nothing_about_who_is_heard(
    books: Books, time_: Time, step_ms: int
) -> None:
    relay = Relay(books, time_.clock, Line(), Standing.ACTIVE)
    relay.feed(LineUp())
    relay.receive(*mark(books, 122))
    books.book(tap(None), Situation(online=True, closed=""))
    assert heard(relay, time_, 0)
    time_.wall_ms += step_ms
    assert heard(relay, time_, UNHEARD_MS - 1)
    assert not heard(relay, time_, 1)


def test_after_a_start_with_records_that_wait_the_ledger_has_to_be_heard_first(
    books: Books, time_: Time
) -> None:
    """Nobody knows how long they waited, whatever the wall clock says."""
    relay = Relay(books, time_.clock, Line(), Standing.ACTIVE)
    relay.feed(LineUp())
    assert not heard(relay, time_, 0)
    relay.receive(*mark(books, 50))
    assert heard(relay, time_, 0)
    relay.receive(*mark(books, 122))
    again = Relay(books, time_.clock, Line(), Standing.ACTIVE)
    assert heard(again, time_, 0), "nothing waited at the start"


def second_epoch(folder: Path, time_: Time) -> Books:
    """The same terminal under a new grant."""
    journal = Journal(folder / "journal.db", owner(2))
    books = Books(journal, Cache(folder / "cache.db"), time_.clock, AT.terminal, os.urandom)
    books.open_epoch()
    return books


def test_what_an_old_epoch_holds_goes_first(tmp_path: Path, time_: Time) -> None:
    old = stocked_books(tmp_path, time_.clock)
    for number in range(3):
        old.book(tap(coffee(f"o{number}")), Situation(online=True, closed=""))
    count = old.journal.head.seq
    close(old)
    books, line = second_epoch(tmp_path, time_), Line()
    relay = Relay(books, time_.clock, line, Standing.ACTIVE)
    relay.feed(LineUp())
    assert (relay.state.epoch, relay.queue) == (1, count + 1)
    assert books.journal.oldest_waiting_ms() == START_MS
    relay.receive(*mark(books, count))
    assert (relay.state.epoch, relay.queue) == (2, 1)
    sent = [read(data)[0].record for each in line.batches for data in each]
    places = [(record.epoch, record.seq) for record in sent]
    assert places == [*((1, seq) for seq in range(1, count + 1)), (2, 1)]
    close(books)


@pytest.mark.parametrize("standing", [Standing.ACTIVE, Standing.FORKED])
def test_an_old_epoch_that_cannot_go_on_is_left_and_told(
    tmp_path: Path, time_: Time, standing: Standing
) -> None:
    close(stocked_books(tmp_path, time_.clock))
    books, line = second_epoch(tmp_path, time_), Line()
    relay = Relay(books, time_.clock, line, Standing.ACTIVE)
    relay.feed(LineUp())
    told, data = mark(books, 1)
    if standing is Standing.FORKED:
        told = structs.replace(told, standing=standing)
    else:
        told = structs.replace(told, head_hash=bytes(32))
    relay.receive(told, data)
    assert (relay.state.epoch, relay.state.alarm, relay.state.standing) == (2, "", Standing.ACTIVE)
    assert relay.left_alarm == (FORKED if standing is Standing.FORKED else HISTORY_DIFFERS)
    assert read(line.batches[-1][0])[0].record.epoch == 2
    close(books)
