"""The shell of the terminal: one thread, one queue. Feeds the flows and carries out their actions.

Reader, line and HTTP have threads of their own; all they do is put work into the queue.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from msgspec import structs

from drivers.card import CardIdentity
from drivers.errors import CardGone, DriverError, ExchangeTimeout, ReaderLost, ReaderRefused
from edge import sync_flow, tap_flow
from edge.board import Board
from edge.books import Books, Situation
from edge.clock import Clock
from edge.commands import Commands
from edge.counter import CounterWindow
from edge.errors import (
    CacheRefused,
    CannotAccept,
    CardTorn,
    JournalBroken,
    JournalRefused,
    NoPrinter,
)
from edge.health import Notifier
from edge.inbox import Inbox
from edge.order import Answer, AnswerState, Order, OrderKind
from edge.ports import Print
from edge.purse import HeldPurse
from edge.receipts import Receipts
from edge.relay import Relay
from edge.tap_flow import Book, CardSeen, Reopen, Settle
from protocol.record import Card
from protocol.topics import Down

# Messages that may wait: a flood of them holds the line's thread up, and not the memory.
MESSAGES_MAX = 1024
# How long the loop sleeps at most: a reader that came back is on the screen after this.
IDLE_S = 0.5
# Between two looks for records that are old enough to be deleted.
PRUNE_EVERY_MS = 3_600_000

# No answer was given, so no record is written: the card is to be presented again.
_NO_ANSWER = (CardGone, ExchangeTimeout, ReaderLost, ReaderRefused)
_REFUSALS = (JournalRefused, JournalBroken, CacheRefused)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the agent is put together from."""

    clock: Clock
    books: Books
    relay: Relay
    commands: Commands
    inbox: Inbox
    board: Board
    notifier: Notifier
    receipts: Receipts | None = None  # none without a printer


class Agent:
    """Made, then ``run`` on the thread that made the journal; ``post`` may be called by any."""

    def __init__(self, parts: Parts) -> None:
        self._clock, self._books, self._relay = parts.clock, parts.books, parts.relay
        self._commands, self._inbox, self._board = parts.commands, parts.inbox, parts.board
        self._notifier, self._receipts = parts.notifier, parts.receipts
        self._queue: queue.Queue[Callable[[], None]] = queue.Queue()
        self._room = threading.BoundedSemaphore(MESSAGES_MAX)
        self._tap = tap_flow.State()
        self._online = False
        self._stopping = False
        self._sensed_s = self._identified_s = self._next_beat_s = 0.0
        self._next_prune_ms = 0
        self._purse: HeldPurse | None = None
        self.counter = CounterWindow(self.post, lambda: self, self._board.screen)
        self._refresh()

    def post(self, work: Callable[[], None]) -> None:
        """Have ``work`` done on the agent's thread; never waits, as who asks may hold a lock.

        The reader, the tills and our own messages bound how much there is; see on_message.
        """
        self._queue.put(work)

    def stop(self) -> None:
        """End the loop within IDLE_S; from any thread, and from a signal's handler."""
        self._stopping = True

    def run(self) -> None:
        """Do what comes, until ``stop``."""
        while not self._stopping:
            self._guarded(self._turn)
            self._refresh()
            self._guarded(self._tell)
            try:
                work = self._queue.get(timeout=self._pause_s())
            except queue.Empty:
                continue
            self._guarded(work)
        self._notifier.stopping()
        self._board.say_goodbye()
        self.counter.close()

    # What the other threads tell: drivers.supervise.Listener and edge.link.LinkListener.

    def on_card(
        self, identity: CardIdentity, sensed_s: float, purse: HeldPurse | None = None
    ) -> None:
        """A card proved who it is; it was sensed at ``sensed_s`` of the monotonic clock.

        ``purse`` is let go once the tap has its answer.
        """
        card = Card(
            reference=identity.reference,
            family=identity.family,
            assurance=identity.assurance,
            counter=identity.counter,
            balance_before=identity.balance_before,
            balance_after=identity.balance_after,
            proof=identity.proof,
        )
        now_s = self._clock.mono_s()
        self.post(lambda: self._present(CardSeen(card), sensed_s, now_s, purse))

    def on_problem(self, problem: DriverError, sensed_s: float) -> None:
        """A card failed, or the reader did."""
        _log.info("%s", problem)
        if isinstance(problem, _NO_ANSWER):
            self.post(lambda: self._feed(tap_flow.Trouble(problem.code)))
        else:
            seen = CardSeen(None, problem.code)
            now_s = self._clock.mono_s()
            self.post(lambda: self._present(seen, sensed_s, now_s))

    def on_line_up(self, session: str) -> None:
        """The line stands."""
        self.post(lambda: self._line_up(session))

    def on_line_down(self) -> None:
        """The line is gone."""
        self.post(self._line_down)

    def on_delivered(self, number: int) -> None:
        """The broker has a message."""
        self.post(lambda: self._relay.feed(sync_flow.Delivered(number)))

    def on_message(self, leaf: Down, payload: bytes) -> None:
        """The cloud said something; waits while too much of it waits."""
        self._room.acquire()
        self.post(lambda: self._receive(leaf, payload))

    # What the counter asks for: edge.counter.Desk, on the agent's thread.

    def place(self, order: Order) -> Answer:
        """See edge.ports.Counter."""
        with self._refusing():
            return self._books.answered(order) or self._hold(order)

    def cancel(self, order_id: str) -> Answer | None:
        """See edge.counter.Desk."""
        self._feed(tap_flow.Cancelled(order_id))
        with self._refusing():
            return self.counter.known(order_id) or self._books.recorded(order_id)

    def ask_receipt(self, order_id: str) -> Print:
        """See edge.counter.Desk."""
        with self._refusing():
            return self._printed().ask(order_id)

    def receipt(self, order_id: str) -> Print:
        """See edge.counter.Desk."""
        with self._refusing():
            return self._printed().known(order_id)

    def recorded(self, order_id: str) -> Answer | None:
        """See edge.counter.Desk."""
        with self._refusing():
            return self._books.recorded(order_id)

    # The rest is on the agent's thread.

    def _printed(self) -> Receipts:
        if self._receipts is None:
            raise NoPrinter
        return self._receipts

    def _receive(self, leaf: Down, payload: bytes) -> None:
        self._room.release()
        self._inbox.receive(leaf, payload)

    def _hold(self, order: Order) -> Answer:
        in_force = self._books.in_force()
        if order.kind is OrderKind.SALE and in_force is not None:
            in_force.pricing.price([(item.sku, item.quantity) for item in order.items], "")
        self._feed(tap_flow.Placed(order))
        answer = Answer(order=order.id, state=AnswerState.WAITING)
        self.counter.settle(answer)
        return answer

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """Turn a disk that refuses into words for whoever asked."""
        if self._tap.phase is tap_flow.Phase.CANNOT_ACCEPT:
            raise CannotAccept
        try:
            yield
        except _REFUSALS as error:
            _log.error("%s", error)
            self._feed(tap_flow.Refused())
            raise CannotAccept from error

    def _guarded(self, work: Callable[[], object]) -> None:
        try:
            work()
        except _REFUSALS as error:
            _log.error("%s", error)
            self._feed(tap_flow.Refused())

    def _turn(self) -> None:
        """Do what time asks for."""
        now_ms = self._clock.mono_ms()
        ends_ms = self._tap.ends_ms
        if ends_ms is not None and now_ms >= ends_ms:
            self._feed(tap_flow.Ticked())
        if self._tap.phase is tap_flow.Phase.CANNOT_ACCEPT:
            return
        self._relay.appended()
        self._relay.tick()
        if self._books.is_switch_due():
            self._books.switch_bundle()
            self._inbox.must_report = True
        if self._tap.phase is tap_flow.Phase.ATTRACT and now_ms >= self._next_prune_ms:
            more = self._books.journal.prune(self._clock.signed_ms)
            self._next_prune_ms = now_ms + (0 if more else PRUNE_EVERY_MS)

    def _feed(self, event: tap_flow.Event) -> None:
        events: deque[tap_flow.Event] = deque((event,))
        while events:
            happened = events.popleft()
            self._tap, actions = tap_flow.step(self._tap, happened, self._clock.mono_ms())
            for action in actions:
                events.extend(self._act(action))

    def _act(self, action: tap_flow.Action) -> tuple[tap_flow.Event, ...]:
        try:
            if isinstance(action, Book):
                return (self._book(action),)
            if isinstance(action, Reopen):
                self._inbox.must_report = True
                return (tap_flow.Reopened(self._books.reopen()),)
        except _REFUSALS as error:
            _log.error("%s", error)
            return (tap_flow.Refused(),)
        self._settle(action)
        return ()

    def _book(self, tap: Book) -> tap_flow.Event:
        online = self._online and self._relay.is_heard()
        situation = Situation(online, self._board.refusal())
        if self._purse is not None:
            self._refresh()  # it takes a moment in which the card has to stay
        try:
            answer, record = self._books.book(tap, situation, self._purse)
        except (CardTorn, DriverError) as trouble:
            _log.warning("%s", trouble)
            return tap_flow.Trouble(trouble.code)
        identify_s, tap_s = self._identified_s - self._sensed_s, self._clock.mono_s()
        stages = {
            "identify": _ms(identify_s),
            **answer.stages_ms,
            "tap": _ms(tap_s - self._sensed_s),
        }
        self._board.lines = record.lines
        return tap_flow.Written(structs.replace(answer, stages_ms=stages))

    def _settle(self, action: Settle) -> None:
        """Show the answer, then give it to whoever waits for it."""
        begun_s = self._clock.mono_s()
        self._refresh()
        shown = {"show": _ms(self._clock.mono_s() - begun_s)} if action.answer.tid else {}
        answer = action.answer
        if answer.order:
            stages = {**answer.stages_ms, **shown}
            self.counter.settle(structs.replace(answer, stages_ms=stages))
            if self._receipts is not None:
                self._receipts.settled(answer)

    def _present(
        self,
        event: CardSeen,
        sensed_s: float,
        identified_s: float,
        purse: HeldPurse | None = None,
    ) -> None:
        self._sensed_s, self._identified_s, self._purse = sensed_s, identified_s, purse
        try:
            self._feed(event)
        finally:
            self._purse = None
            if purse is not None:
                purse.release()

    def _line_up(self, session: str) -> None:
        self._online = True
        self._board.line_up(session)
        self._inbox.must_report = True
        self._relay.feed(sync_flow.LineUp())

    def _line_down(self) -> None:
        self._online = False
        self._board.line_down()
        self._relay.feed(sync_flow.LineDown())

    def _refresh(self) -> None:
        screen = self._board.refresh(self._tap)
        if screen is not None:
            self.counter.show(screen)

    def _tell(self) -> None:
        """Bring the cloud and the watchdog up to date."""
        self._board.tell(self._tap)
        if self._inbox.must_report and self._online:
            self._inbox.report()
        now_s = self._clock.mono_s()
        if self._notifier.beat_s is not None and now_s >= self._next_beat_s:
            self._notifier.beat()
            self._next_beat_s = now_s + self._notifier.beat_s

    def _pause_s(self) -> float:
        """How long nothing is to be done if nobody asks."""
        now_ms = self._clock.mono_ms()
        due = [now_ms + IDLE_S * 1000]
        due.extend(
            time for time in (self._tap.ends_ms, sync_flow.wake_ms(self._relay.state)) if time
        )
        wall_ms = self._clock.wall_ms()
        activation_ms = self._books.bundles.next_activation_ms(wall_ms)
        if activation_ms is not None:
            due.append(now_ms + activation_ms - wall_ms)
        return max(0.001, (min(due) - now_ms) / 1000)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
