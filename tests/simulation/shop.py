"""People at a terminal of a simulation: what they order, and what its screen must show them."""

from __future__ import annotations

from collections.abc import Callable

from edge.order import Answer, AnswerState, Item, Order, sale, top_up, void
from protocol.membership.event import event_of, moves_account
from protocol.membership.fold import fold
from protocol.record import Card, CardClass
from tests.simulation.clockwork import Clockwork
from tests.simulation.ledger import Books
from tests.simulation.settings import Settings
from tests.simulation.terminal import Crash, Terminal

VISIT_EVERY_MS = 22_000
# How often a tap is followed by one of the same card, and how soon: what a list must not count
# twice is seen while it is new.
COMES_AGAIN, COMES_AGAIN_MS = 0.75, 1_500
# An answer that no record stands behind.
NO_TID = "00" * 16

PowerOff = Callable[[Terminal, Callable[[], None]], None]


class Shop:
    """Taps until ``ends_ms``; ``power_off`` is called with what to do once the power is back."""

    def __init__(
        self,
        terminal: Terminal,
        time: Clockwork,
        books: Books,
        settings: Settings,
        power_off: PowerOff,
    ) -> None:
        self._terminal, self._time, self._books = terminal, time, books
        self._settings, self._power_off = settings, power_off
        self.taps = 0
        self.faults: list[str] = []

    def open(self, ends_ms: int) -> None:
        """Have cards come now and then."""
        self._time.soon(VISIT_EVERY_MS, lambda: self._visit(ends_ms))

    def _visit(self, ends_ms: int) -> None:
        if self._time.now_ms > ends_ms:
            return
        self._serve(self._time.random.choice(list(self._books.cards)))
        self.open(ends_ms)

    def _serve(self, reference: bytes) -> None:
        """Whoever topped up often buys something next."""
        if self._terminal.is_on:
            self.taps += 1
            self._try_tap(self._order(), reference)
        if self._time.chance(COMES_AGAIN):
            self._time.soon(COMES_AGAIN_MS, lambda: self._serve(reference))

    def _try_tap(self, order: Order, reference: bytes) -> None:
        terminal = self._terminal
        if not terminal.is_on:
            return
        card = Card(reference, "cpu", CardClass.SECURE)
        if self._settings.answer_first and self._time.chance(self._settings.crash):
            terminal.answered.append(Answer(order=order.id, state=AnswerState.APPROVED, tid=NO_TID))
            self._power_off(terminal, lambda: None)
            return
        try:
            answer = terminal.tap(order, card)
        except Crash:
            self._power_off(terminal, lambda: self._try_tap(order, reference))
            return
        if answer is not None and answer.order == order.id:
            self._check_balance(answer, reference)

    def _check_balance(self, answer: Answer, reference: bytes) -> None:
        """The screen shows the fold of all that the terminal can know: its list and its journal."""
        terminal, cards = self._terminal, self._books.cards
        member, newest = cards[reference], terminal.journal.newest()
        if answer.balance is None or newest is None or newest.record.tid.hex() != answer.tid:
            return
        version = terminal.cache.state.version
        known = [event for at, event in self._books.log[member] if at <= version]
        for sealed in terminal.records():
            record = sealed.record
            card = record.card
            if card and moves_account(record.kind) and cards[card.reference] == member:
                known.append(event_of(record))
        right = fold(known)
        if answer.balance != right.balance:
            name = terminal.identity.terminal
            self.faults.append(f"{name}: showed {answer.balance}, knew {right.balance}")

    def _order(self) -> Order:
        random = self._time.random
        number = f"o-{self._terminal.identity.terminal}-{self.taps}"
        draw = random.random()
        if draw < 0.3:
            return top_up(number, random.randrange(1_000, 20_000), "cash")
        if draw < 0.4:
            answered = self._terminal.answered
            done = [each for each in answered if each.state is AnswerState.APPROVED]
            tids = [each.tid for each in done if each.tid and each.tid != NO_TID]
            if tids:
                return void(number, bytes.fromhex(random.choice(tids)))
        items = (Item("coffee", random.randrange(1, 4)), Item("bun", random.randrange(1, 3)))
        return sale(number, items)
