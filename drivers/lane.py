"""One thread that owns one device: calls go through it one after another, each with a deadline.

Driver libraries block without a limit and must not be called from two threads. A call that is late
is given up, and with it the lane; what its thread still holds is given back when it returns.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from drivers.errors import ExchangeTimeout, ReaderLost

Result = TypeVar("Result")


class _Call(Generic[Result]):
    """One piece of work, its outcome, and the signal that the outcome is there."""

    def __init__(self, work: Callable[[], Result]) -> None:
        self._work = work
        self._error: BaseException | None = None
        self._result: Result
        self._done: SimpleQueue[None] = SimpleQueue()

    def run(self) -> None:
        """Do the work; whatever it raises is the caller's."""
        try:
            self._result = self._work()
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            self._error = error
        self._done.put(None)

    def outcome(self, timeout_s: float) -> Result:
        """Return or raise what the work did; queue.Empty when it has not done it in time."""
        self._done.get(timeout=timeout_s)
        if self._error is not None:
            raise self._error
        return self._result


class Lane:
    """A named daemon thread; it never keeps a program from ending."""

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._stuck = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def stuck(self) -> bool:
        """Whether a call was given up, so that the device is not usable through this lane."""
        return self._stuck

    def call(self, work: Callable[[], Result], deadline_s: float) -> Result:
        """Return what ``work`` returns, or raise what it raises.

        ExchangeTimeout when it takes longer than ``deadline_s``; ReaderLost ever after.
        """
        if self._stuck:
            raise ReaderLost("an earlier call has not come back")
        call = _Call(work)
        self._calls.put(call.run)
        try:
            return call.outcome(deadline_s)
        except Empty:
            self._stuck = True
            raise ExchangeTimeout(f"no answer within {deadline_s:.1f} s") from None

    def end(self, last: Callable[[], None], deadline_s: float) -> None:
        """Let ``last`` give the device back, then end the thread; waits ``deadline_s`` at most."""
        self._calls.put(_Call(last).run)
        self._calls.put(None)
        self._thread.join(0 if self._stuck else deadline_s)

    def _run(self) -> None:
        while (work := self._calls.get()) is not None:
            work()
