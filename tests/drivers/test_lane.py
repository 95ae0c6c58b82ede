"""One thread a device: order, results, errors, and a call that never comes back."""

from __future__ import annotations

import threading

import pytest

from drivers.errors import CardGone, ExchangeTimeout, ReaderLost
from drivers.lane import Lane


def test_calls_run_on_the_lanes_own_thread_and_bring_back_results_and_errors() -> None:
    lane = Lane("test lane")
    assert lane.call(lambda: threading.current_thread().name, 5) == "test lane"

    def fail() -> None:
        raise CardGone("torn")

    with pytest.raises(CardGone, match="torn"):
        lane.call(fail, 5)
    assert lane.call(lambda: None, 5) is None
    lane.end(lambda: None, 5)


def test_a_call_that_does_not_come_back_is_given_up_and_the_lane_with_it() -> None:
    lane, gate, ended = Lane("test lane"), threading.Event(), threading.Event()
    with pytest.raises(ExchangeTimeout):
        lane.call(gate.wait, 0.01)
    assert lane.stuck
    with pytest.raises(ReaderLost):
        lane.call(lambda: None, 5)
    lane.end(ended.set, 5)  # returns although the thread still hangs
    assert not ended.is_set()
    gate.set()
    assert ended.wait(5)  # the device is given back as soon as the call returns
