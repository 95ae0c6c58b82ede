"""What carries the sync flow out: batches from the disk, and a disk that refuses in the middle."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from edge.books import Books, Situation
from edge.cache import Cache
from edge.errors import JournalRefused
from edge.inbox import Trust
from edge.journal import Journal
from edge.relay import UNHEARD_MS, Relay
from edge.sync_flow import FORKED, HISTORY_DIFFERS, RETRY_MS, LineUp, Phase
from edge.wiring import last_word
from protocol import batch, watermark
from protocol.record import read
from protocol.topics import Up
from protocol.watermark import Standing, Watermark
from tests.edge.world import (
    AT,
    CLOUD_KEY,
    CLOUD_KEYS,
    RULES_KEYS,
    START_MS,
    Time,
    close,
    coffee,
    owner,
    stocked_books,
    tap,
)

TRUST = Trust(CLOUD_KEYS, RULES_KEYS)


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


def mark(books: Books, upto: int, **fields: Any) -> tuple[Watermark, bytes]:
    """A watermark of our history, and its signed bytes."""
    hash_ = books.journal.hash_at(upto)
    assert hash_ is not None
    told = Watermark(
        terminal=AT.terminal,
        epoch=books.journal.sending,
        upto_seq=upto,
        head_hash=hash_,
        server_ms=START_MS,
    )
    told = structs.replace(told, **fields)
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
    relay.receive(*mark(books, 120, server_ms=START_MS + 1))
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
    other = {} if standing is Standing.FORKED else {"head_hash": bytes(32)}
    relay.receive(*mark(books, 1, standing=standing, **other))
    assert (relay.state.epoch, relay.state.alarm, relay.state.standing) == (2, "", Standing.ACTIVE)
    assert relay.left_alarm == (FORKED if standing is Standing.FORKED else HISTORY_DIFFERS)
    assert read(line.batches[-1][0])[0].record.epoch == 2
    close(books)


@pytest.fixture
def judged(tmp_path: Path, time_: Time) -> Iterator[Books]:
    """Ten records of an epoch, a fork after the sixth, and the next epoch that was granted."""
    old = stocked_books(tmp_path, time_.clock)
    for number in range(8):
        old.book(tap(coffee(f"o{number}", 99)), Situation(online=True, closed=""))
    relay = Relay(old, time_.clock, Line(), Standing.ACTIVE)
    relay.receive(*mark(old, 6, standing=Standing.FORKED))
    assert relay.state.phase is Phase.HALTED
    assert last_word(old.journal, TRUST) == (Standing.FORKED, START_MS)
    close(old)
    books = second_epoch(tmp_path, time_)
    yield books
    close(books)


def sent(line: Line) -> list[tuple[int, int]]:
    """Epoch and seq of the first record of each batch."""
    firsts = [read(each[0])[0].record for each in line.batches]
    return [(record.epoch, record.seq) for record in firsts]


def test_an_honest_terminal_hands_in_what_a_fork_left(judged: Books, time_: Time) -> None:
    """What was said of the old epoch is older than the grant of the next: the ledger is asked."""
    line = Line()
    relay = Relay(judged, time_.clock, line, *last_word(judged.journal, TRUST))
    assert (relay.state.standing, relay.queue) == (Standing.ACTIVE, 5)
    relay.feed(LineUp())
    stored = judged.journal.watermark
    assert stored is not None
    relay.receive(watermark.accept(stored, CLOUD_KEYS), stored)
    assert (relay.state.epoch, relay.state.standing) == (1, Standing.ACTIVE), "it is retained"
    relay.receive(*mark(judged, 10, server_ms=START_MS + 1))
    assert (relay.state.epoch, relay.queue, relay.left_alarm) == (2, 1, "")
    assert sent(line) == [(1, 7), (2, 1)]


def test_what_the_ledger_refuses_again_stays_and_is_tried_at_the_next_start(
    judged: Books, time_: Time
) -> None:
    line = Line()
    relay = Relay(judged, time_.clock, line, *last_word(judged.journal, TRUST))
    relay.feed(LineUp())
    relay.receive(*mark(judged, 6, server_ms=START_MS + 1, standing=Standing.FORKED))
    assert (relay.state.epoch, relay.state.phase, relay.queue) == (2, Phase.LINE_UP, 4 + 1)
    assert relay.left_alarm == FORKED
    relay.receive(*mark(judged, 1, server_ms=START_MS + 2))
    assert (relay.queue, relay.is_heard()) == (4, True)
    judged.journal._passed_over = 0  # noqa: SLF001 - as after a start
    judged.journal.reopen()
    again = Relay(judged, time_.clock, line, *last_word(judged.journal, TRUST))
    again.feed(LineUp())
    assert sent(line) == [(1, 7), (2, 1), (1, 7)]


def test_a_fork_of_the_present_epoch_outlasts_an_old_one(judged: Books, time_: Time) -> None:
    relay = Relay(judged, time_.clock, Line(), Standing.FORKED)
    assert (relay.state.epoch, relay.state.standing) == (1, Standing.FORKED)
    relay.feed(LineUp())
    assert relay.state.phase is Phase.LINE_UP, "the old one is handed in"
    relay.receive(*mark(judged, 10, server_ms=START_MS + 1))
    assert (relay.state.epoch, relay.state.phase, relay.state.alarm) == (2, Phase.HALTED, FORKED)


def test_a_revocation_is_of_every_epoch(judged: Books, time_: Time) -> None:
    relay = Relay(judged, time_.clock, Line(), Standing.ACTIVE)
    relay.feed(LineUp())
    word = mark(judged, 10, server_ms=START_MS + 1, standing=Standing.DRAIN_ONLY)
    relay.receive(*word)
    assert (relay.state.epoch, relay.state.standing) == (2, Standing.DRAIN_ONLY)


@pytest.mark.parametrize(
    ("old", "present", "expected"),
    [
        (Standing.FORKED, None, Standing.ACTIVE),
        (Standing.FORKED, Standing.ACTIVE, Standing.ACTIVE),
        (Standing.FORKED, Standing.FORKED, Standing.FORKED),
        (Standing.DRAIN_ONLY, Standing.ACTIVE, Standing.DRAIN_ONLY),
    ],
)
def test_the_last_word_is_the_newest_and_a_fork_is_of_its_epoch(
    judged: Books, old: Standing, present: Standing | None, expected: Standing
) -> None:
    judged.journal.acknowledge(6, mark(judged, 6, server_ms=START_MS + 9, standing=old)[1])
    judged.journal.send_next()
    server_ms = START_MS + 9
    if present is not None:
        judged.journal.acknowledge(1, mark(judged, 1, standing=present)[1])
    assert last_word(judged.journal, TRUST) == (expected, server_ms)
