"""A dialogue over a reader: both deadlines, and a dialogue that is closed when it fails."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from drivers.apdu import CommandApdu, ResponseApdu
from drivers.errors import CardGone, ExchangeTimeout
from drivers.exchange import Deadlines, hold
from drivers.reader import Presented

PING = CommandApdu(0, 0x84, 0, 0, ne=8)


class SlowReader:
    """A reader whose card takes ``answer_s`` of a clock that only it moves."""

    def __init__(self, answer_s: float) -> None:
        self.clock_s = 0.0
        self.deadlines: list[float] = []
        self._answer_s = answer_s

    def now(self) -> float:
        return self.clock_s

    def wait_for_card(self, timeout_s: float) -> Presented | None:
        raise NotImplementedError(timeout_s)

    def wait_for_removal(self, timeout_s: float) -> bool:
        raise NotImplementedError(timeout_s)

    def transmit(self, command: bytes, deadline_s: float) -> bytes:
        assert command == PING.encode()
        self.deadlines.append(deadline_s)
        self.clock_s += min(self._answer_s, deadline_s)
        if self._answer_s > deadline_s:
            raise ExchangeTimeout
        return b"\x90\x00"

    def close(self) -> None:
        """Nothing to give back."""


def pings(count: int, closed: list[bool]) -> Generator[CommandApdu, ResponseApdu, int]:
    """Ask so often; return how many answers were good."""
    good = 0
    try:
        for _ in range(count):
            good += (yield PING).ok
    finally:
        closed.append(True)
    return good


def test_a_dialogue_returns_its_outcome() -> None:
    reader, closed = SlowReader(0.1), list[bool]()
    assert hold(pings(3, closed), reader, Deadlines(), reader.now, extended=False) == 3
    assert closed == [True]


def test_an_exchange_gets_no_more_than_its_own_deadline() -> None:
    reader, closed = SlowReader(2.0), list[bool]()
    dialogue = pings(3, closed)  # held here, so that only hold() can have closed it
    with pytest.raises(ExchangeTimeout):
        hold(dialogue, reader, Deadlines(1.0, 3.0), reader.now, extended=False)
    assert reader.clock_s == 1.0
    assert closed == [True]


def test_many_slow_answers_end_at_the_deadline_of_the_whole() -> None:
    reader, closed = SlowReader(0.9), list[bool]()
    with pytest.raises(ExchangeTimeout):
        hold(pings(100, closed), reader, Deadlines(1.0, 3.0), reader.now, extended=False)
    assert reader.clock_s == pytest.approx(3.0)
    assert reader.deadlines == pytest.approx([1.0, 1.0, 1.0, 0.3])
    assert closed == [True]


def test_what_the_dialogue_raises_passes_through() -> None:
    def refuse() -> Generator[CommandApdu, ResponseApdu, int]:
        yield PING
        raise CardGone

    reader = SlowReader(0.1)
    with pytest.raises(CardGone):
        hold(refuse(), reader, Deadlines(), reader.now, extended=False)
