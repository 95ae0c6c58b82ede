"""A stocked terminal's books with a clock of their own, for every test of what they do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.books import Books
from tests.edge.world import Time, close, stocked_books


@pytest.fixture
def time_() -> Time:
    return Time()


@pytest.fixture
def books(tmp_path: Path, time_: Time) -> Iterator[Books]:
    books = stocked_books(tmp_path, time_.clock)
    yield books
    close(books)
