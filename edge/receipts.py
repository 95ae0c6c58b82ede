"""Has receipts of booked orders printed: finds the record, composes it, puts it into the queue."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from edge.books import Books
from edge.errors import EdgeError, NoReceipt, OrderUnknown, ReceiptUnasked
from edge.order import Answer, AnswerState
from edge.pending import Place, place_of
from edge.ports import Print
from edge.print_queue import PrintQueue
from edge.receipt import Shop, Told, Wording, compose

_log = logging.getLogger(__name__)


class Habits(NamedTuple):
    """How receipts are here.

    ``head`` is the name on top, ``local`` writes a wall clock for people, ``wake`` tells the
    printer's thread; ``always``: each approved order's is printed without being asked for.
    """

    head: str
    wording: Wording
    local: Callable[[int], str]
    wake: Callable[[], None]
    always: bool


class Receipts:
    """On the agent's thread."""

    def __init__(self, books: Books, queue: PrintQueue, habits: Habits) -> None:
        self._books, self._queue, self._habits = books, queue, habits

    def ask(self, order: str) -> Print:
        """Have the receipt of ``order`` printed; see edge.ports.Counter."""
        told = self._told(order)
        self._queue.forget(Place(*self._books.journal.oldest()))
        receipt = compose(told, self._shop(), self._habits.wording)
        job = self._queue.ask(place_of(told.record), receipt)
        self._habits.wake()
        return Print(order, job.number, job.state, job.copy)

    def known(self, order: str) -> Print:
        """Return what became of the receipt; ReceiptUnasked when nothing did."""
        number = self._told(order).record.receipt
        job = self._queue.known(number)
        if job is None:
            raise ReceiptUnasked(number)
        return Print(order, job.number, job.state, job.copy)

    def settled(self, answer: Answer) -> None:
        """Print the receipt of an order that was just answered, where that is the habit.

        The order stands whatever happens here.
        """
        if not self._habits.always or answer.state is not AnswerState.APPROVED:
            return
        try:
            if self._queue.known(answer.receipt) is None:
                self.ask(answer.order)
        except EdgeError as error:
            _log.error("%s", error)

    def _told(self, order: str) -> Told:
        booked = self._books.journal.by_order(order)
        answer = self._books.recorded(order)
        if booked is None or answer is None:
            raise OrderUnknown(order[:64])
        record = booked.record
        if answer.state is not AnswerState.APPROVED or not record.receipt:
            raise NoReceipt(order[:64])
        target = self._books.journal.find(record.refers_to) if record.refers_to else None
        time = self._habits.local(record.moment.wall_ms)
        return Told(record, booked.hash, answer, time, target.receipt if target else "")

    def _shop(self) -> Shop:
        in_force = self._books.in_force()
        bundle = in_force.pricing.bundle if in_force else None
        products = {product.sku: product for product in bundle.products} if bundle else {}
        return Shop(self._habits.head, bundle.currency if bundle else "", products)
