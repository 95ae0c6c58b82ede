"""What tests of the terminal begin with: stocked books with a clock, or a broker and a ledger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.books import Books
from tests.edge.ledger import SmallLedger
from tests.edge.world import AT, Time, close, stocked_books
from tests.services.broker import Broker, running_broker


@pytest.fixture
def time_() -> Time:
    return Time()


@pytest.fixture
def books(tmp_path: Path, time_: Time) -> Iterator[Books]:
    books = stocked_books(tmp_path, time_.clock)
    yield books
    close(books)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with running_broker("nats", tmp_path, [AT]) as running:
        yield running


@pytest.fixture
def ledger(broker: Broker) -> Iterator[SmallLedger]:
    small = SmallLedger(broker)
    yield small
    small.close()
