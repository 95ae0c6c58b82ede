"""The terminal as tills and pages see it, from any thread: see edge.ports.Counter.

Waits and passes on; what happens to an order is the agent's.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from typing import Protocol, TypeVar

from edge.errors import CannotAccept, OrderUnknown
from edge.order import Answer, AnswerState, Order
from edge.ports import Print, Screen

# Answers that are kept at hand; older ones are read from the journal.
ANSWERS_KEPT = 256
# The agent answers within milliseconds; one that does not is stuck in its disk.
AGENT_S = 10.0

Result = TypeVar("Result")


class Desk(Protocol):
    """What the agent does for the counter, on its own thread."""

    def place(self, order: Order) -> Answer:
        """See edge.ports.Counter."""

    def cancel(self, order_id: str) -> Answer | None:
        """Cancel the order if it waits; its answer, None when it is unknown."""

    def recorded(self, order_id: str) -> Answer | None:
        """The answer of a booked order."""

    def ask_receipt(self, order_id: str) -> Print:
        """See edge.ports.Counter."""

    def receipt(self, order_id: str) -> Print:
        """See edge.ports.Counter."""


class CounterWindow:
    """Implements edge.ports.Counter. ``post`` hands work to the agent's thread."""

    def __init__(
        self, post: Callable[[Callable[[], None]], None], desk: Callable[[], Desk], screen: Screen
    ) -> None:
        self._post, self._desk = post, desk
        self._changed = threading.Condition()
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._screen = screen
        self._closed = False

    def show(self, screen: Screen) -> None:
        """Take the newest screen; called by the agent."""
        with self._changed:
            self._screen = screen
            self._changed.notify_all()

    def settle(self, answer: Answer) -> None:
        """Take what became of an order; called by the agent."""
        with self._changed:
            self._answers[answer.order] = answer
            self._answers.move_to_end(answer.order)
            while len(self._answers) > ANSWERS_KEPT:
                self._answers.popitem(last=False)
            self._changed.notify_all()

    def close(self) -> None:
        """Let everybody who waits go; called when the agent ends."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def place(self, order: Order) -> Answer:
        """See edge.ports.Counter."""
        return self._ask(lambda: self._desk().place(order))

    def answer(self, order_id: str, wait_s: float) -> Answer:
        """See edge.ports.Counter."""
        known = self._wait_settled(order_id, wait_s)
        answer = known or self._ask(lambda: self._desk().recorded(order_id))
        if answer is None:
            raise OrderUnknown(order_id[:64])
        return answer

    def cancel(self, order_id: str) -> Answer:
        """See edge.ports.Counter."""
        answer = self._ask(lambda: self._desk().cancel(order_id))
        if answer is None:
            raise OrderUnknown(order_id[:64])
        return answer

    def ask_receipt(self, order_id: str) -> Print:
        """See edge.ports.Counter."""
        return self._ask(lambda: self._desk().ask_receipt(order_id))

    def receipt(self, order_id: str) -> Print:
        """See edge.ports.Counter."""
        return self._ask(lambda: self._desk().receipt(order_id))

    def screen(self) -> Screen:
        """See edge.ports.Counter."""
        return self._screen

    def wait_screen(self, after: int, wait_s: float) -> Screen:
        """See edge.ports.Counter."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._screen.revision > after, wait_s)
            return self._screen

    def known(self, order_id: str) -> Answer | None:
        """Return the answer that is at hand."""
        return self._answers.get(order_id)

    def _wait_settled(self, order_id: str, wait_s: float) -> Answer | None:
        """Return the order's answer at hand, after ``wait_s`` also one that still waits."""

        def is_settled() -> bool:
            answer = self._answers.get(order_id)
            return self._closed or answer is None or answer.state is not AnswerState.WAITING

        with self._changed:
            self._changed.wait_for(is_settled, wait_s)
            return self._answers.get(order_id)

    def _ask(self, work: Callable[[], Result]) -> Result:
        """Have ``work`` done on the agent's thread; its errors are raised here."""
        future: Future[Result] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work())
            except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
                future.set_exception(error)

        self._post(run)
        try:
            return future.result(AGENT_S)
        except Late as error:
            future.cancel()
            raise CannotAccept("the agent does not answer") from error
