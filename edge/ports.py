"""What the agent offers to its pages and tills, and what it needs of the world."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from drivers.printers.job import JobState
from edge.order import Answer, Order
from edge.tap_flow import Phase
from protocol.record import Line
from protocol.rules.bundle import Product
from protocol.topics import Up


class Screen(Struct, frozen=True, kw_only=True):
    """All that a page may show, as one immutable value.

    ``revision`` rises at each change. ``order``, ``lines`` and ``total`` (minor units) are of the
    order that waits, priced without a tier as long as no card is known, or of the answered tap.
    ``answer`` is set in RESULT; ``problem`` is the code of a card or reader error, shown until the
    next event; ``closed`` says why cards are not served (``terminal_locked``, ``terminal_stopped``,
    ``no_prices``, ``journal_refused``) and is empty while they are. ``lasts_s`` is how long the
    phase lasts from this revision on if nothing happens, 0 for ever. ``queue`` counts records that
    are not in the ledger yet.
    """

    revision: int
    phase: Phase
    order: Order | None = None
    lines: tuple[Line, ...] = ()
    total: int = 0
    answer: Answer | None = None
    problem: str = ""
    closed: str = ""
    lasts_s: float = 0.0
    online: bool = False
    queue: int = 0
    reader: str = ""  # opening, ready, card, lost
    scanner: str = ""  # the same of the second reader, empty where there is none
    printer: str = ""  # opening, ready, paper, lost; empty where there is none
    terminal: str = ""
    bundle: int = 0
    currency: str = ""
    products: tuple[Product, ...] = ()


class Print(Struct, frozen=True):
    """The print of an order's receipt: its number, where it is, and which copy (0: original).

    ``unknown``: it may be on paper, or half of it; only who asks again gets it, as a copy.
    """

    order: str
    receipt: str
    state: JobState
    copy: int


class Counter(Protocol):
    """The terminal, as a till or a page sees it. Every method may be called from any thread."""

    def place(self, order: Order) -> Answer:
        """Hold ``order`` for the next card; the recorded answer when it was booked already.

        Raises OrderBusy, OrderReused, BadOrder, CannotAccept, UnknownProduct, BadAmount.
        """

    def answer(self, order_id: str, wait_s: float) -> Answer:
        """Return the answer once it is not ``waiting`` any more, or after ``wait_s``.

        Raises OrderUnknown.
        """

    def cancel(self, order_id: str) -> Answer:
        """Cancel the order if it still waits, and return its answer. Raises OrderUnknown."""

    def ask_receipt(self, order_id: str) -> Print:
        """Have the order's receipt printed, as a copy when it may be on paper already.

        One that waits is not asked twice. Raises OrderUnknown, NoReceipt, NoPrinter,
        ReceiptsRefused.
        """

    def receipt(self, order_id: str) -> Print:
        """Return what became of the order's receipt; ReceiptUnasked, and as ``ask_receipt``."""

    def screen(self) -> Screen:
        """Return what a page may show now."""

    def wait_screen(self, after: int, wait_s: float) -> Screen:
        """Return the screen once its revision is above ``after``, or after ``wait_s``.

        Returns at once, and an old screen, when the terminal ends.
        """


class Link(Protocol):
    """The line to the broker. Nothing here waits for the network."""

    def publish(self, leaf: Up, payload: bytes) -> int | None:
        """Hand over a message; its number, which comes back when the broker has it.

        None when the line is down. TooLarge when no broker would take it.
        """
