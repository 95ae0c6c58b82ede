"""Which bundle prices a tap: from its minute on, caught up after a pause, by a clock that errs."""

from __future__ import annotations

from pathlib import Path

from edge.books import Books
from edge.cache import BUNDLES_KEPT
from protocol.record import Kind
from tests.edge.world import (
    ONLINE,
    START_MS,
    Time,
    close,
    coffee,
    new_books,
    published,
    records,
    stocked_books,
    tap,
)


def test_a_bundle_is_in_force_from_its_minute(books: Books, time_: Time) -> None:
    books.arm(published(2, START_MS + 1_000, coffee=700))
    books.arm(published(3, START_MS + 5_000, coffee=900))
    seen = []
    for step in (0, 999, 1, 3_999, 1):
        time_.passes(step)
        answer, record = books.book(tap(coffee(f"o{time_.wall_ms}")), ONLINE)
        assert record.bundle is not None
        seen.append((answer.total, record.bundle.version))
    assert seen == [(500, 1), (500, 1), (700, 2), (700, 2), (900, 3)]
    kinds = [record.kind for record in records(books)[1:]]
    on, sold = Kind.BUNDLE_ON, Kind.SALE
    assert kinds == [on, sold, sold, on, sold, sold, on, sold]


def test_a_missed_switch_is_caught_up_and_written_once(tmp_path: Path, time_: Time) -> None:
    books = stocked_books(tmp_path, time_.clock)
    books.book(tap(coffee("o1")), ONLINE)
    later = published(2, START_MS + 1_000, coffee=700)
    close(books)
    time_.passes(60_000)
    for order in ("o2", "o3"):
        again = new_books(tmp_path, time_.clock)
        again.arm(published())
        again.arm(later)
        assert again.book(tap(coffee(order)), ONLINE)[0].total == 700
        kinds = [record.kind for record in records(again)]
        close(again)
    assert kinds.count(Kind.BUNDLE_ON) == 2


def test_bundles_that_are_over_do_not_stay_in_memory(books: Books, time_: Time) -> None:
    """But a few do, as on the disk: a clock that is mended may ask for them."""
    newest = 30
    for number in range(2, newest + 1):
        time_.passes(1_000)
        books.arm(published(number, time_.wall_ms))
    books.arm(published(newest + 1, time_.wall_ms + 1_000))
    begun = [time_.wall_ms - 1_000 * age for age in range(newest)]
    held = [each and each.ref.version for each in map(books.bundles.in_force, begun)]
    kept = [newest - age for age in range(BUNDLES_KEPT + 1)]
    assert held == [*kept, *(None for _ in begun[len(kept) :])]
    assert books.armed() == (newest + 1,)


def test_the_highest_number_wins_not_the_latest_time(books: Books) -> None:
    books.arm(published(5, START_MS - 9_000, coffee=800))
    books.arm(published(4, START_MS - 1_000, coffee=600))
    assert books.book(tap(coffee("o1")), ONLINE)[0].total == 800


def test_a_clock_that_was_set_back_does_not_bring_old_prices_back(
    books: Books, time_: Time
) -> None:
    books.arm(published(2, START_MS + 1_000, coffee=700))
    time_.passes(1_000)
    _, before = books.book(tap(coffee("o1")), ONLINE)
    time_.wall_ms -= 3_600_000
    time_.is_synchronised = False
    answer, record = books.book(tap(coffee("o2")), ONLINE)
    assert answer.total == 700
    assert record.moment.wall_ms >= before.moment.wall_ms
    assert record.moment.quality < before.moment.quality


def test_a_clock_that_was_once_wrong_is_right_again(books: Books, time_: Time) -> None:
    """It stood in 2099 for one tap; the network set it right, and prices and times with it."""
    books.arm(published(2, START_MS + 86_400_000, coffee=900))
    books.book(tap(coffee("o1")), ONLINE)
    time_.wall_ms += 73 * 365 * 86_400_000
    assert books.book(tap(coffee("o2")), ONLINE)[0].bundle == 2
    time_.wall_ms = START_MS + 60_000
    answer, record = books.book(tap(coffee("o3")), ONLINE)
    assert (answer.total, answer.bundle, record.moment.wall_ms) == (500, 1, START_MS + 60_000)
    kinds = [each.kind for each in records(books)]
    assert kinds.count(Kind.CLOCK_STEP) == 2
