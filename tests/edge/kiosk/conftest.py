"""A small terminal with its real server, and Chromium in front of it."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic

import pytest

from edge.kiosk.server import create_app
from tests.edge.counter import SmallCounter
from tests.services.server import Server

TOP_UPS = (5000, 10000, 20000, 50000)


@pytest.fixture
def counter() -> SmallCounter:
    return SmallCounter()


@pytest.fixture
def server(counter: SmallCounter) -> Iterator[Server]:
    app = create_app(counter, monotonic, top_ups=TOP_UPS, receipts=True)
    with Server(app, counter.open, counter.close) as server:
        yield server
