"""What happens between an order and its answer, as one table. Acting is left to the agent.

    state, actions = step(state, event, now_ms)

``now_ms`` is a monotonic clock. Nothing here reads a clock, decides about money or writes.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple

from edge.errors import CannotAccept, OrderBusy, OrderReused
from edge.order import Answer, AnswerState, Order
from protocol.record import Card

# A person who walked away must not pay for the next one's order: 40 s idle, and the 10 s in which
# the page asks; placing the order again begins anew.
ORDER_WAITS_MS = 50_000
# Long enough to read amount and balance; a new card or order ends it at once.
RESULT_MS = 8_000
# Whose card left too early reads what to do and presents it again, also at an order's very end.
AGAIN_MS = 15_000
# Between two attempts to open a journal that refused: a full disk is not freed faster by asking.
REOPEN_MS = 1_000


class Phase(StrEnum):
    """What a person in front of the terminal may do now."""

    ATTRACT = "attract"  # nothing waits; a card shows its balance
    WAITING_CARD = "waiting_card"  # an order waits for a card
    WORKING = "working"  # a record is being written
    RESULT = "result"  # the answer to the last tap
    CANNOT_ACCEPT = "cannot_accept"  # the disk refuses


class State(NamedTuple):
    """``ends_ms``: when the phase ends by itself, None for never. ``problem``: an error code.

    ``order_ends_ms``: when the order does, whatever the disk does meanwhile.
    """

    phase: Phase = Phase.ATTRACT
    order: Order | None = None
    answer: Answer | None = None
    problem: str = ""
    ends_ms: int | None = None
    order_ends_ms: int | None = None


class Placed(NamedTuple):
    """A till or a page wants an order to be carried out."""

    order: Order


class Cancelled(NamedTuple):
    """A till or a page takes its order back."""

    order_id: str


class CardSeen(NamedTuple):
    """A card proved itself, or (``card`` None) could not, for the reason ``refusal``."""

    card: Card | None
    refusal: str = ""


class Trouble(NamedTuple):
    """A card was taken away too early, or the reader failed: no answer, and no record."""

    code: str


class Written(NamedTuple):
    """The record is on disk; this is what it says."""

    answer: Answer


class Refused(NamedTuple):
    """The disk did not take a record."""


class Reopened(NamedTuple):
    """The journal was read again. ``answer`` is that of the refused record, if it is in there.

    It may be another than the waiting order's: a tap can settle what an earlier one left open.
    """

    answer: Answer | None


class Ticked(NamedTuple):
    """Time passed."""


Event = Placed | Cancelled | CardSeen | Trouble | Written | Refused | Reopened | Ticked


class Book(NamedTuple):
    """Decide about this tap and write the record; then say Written or Refused."""

    order: Order | None
    card: Card | None
    refusal: str


class Settle(NamedTuple):
    """The order has its final answer."""

    answer: Answer


class Reopen(NamedTuple):
    """Read the journal again; then say Reopened or Refused."""


Action = Book | Settle | Reopen
Step = tuple[State, tuple[Action, ...]]
_IDLE = State()


def _hold(_state: State, event: Placed, now_ms: int) -> Step:
    return _waiting(event.order, now_ms + ORDER_WAITS_MS), ()


def _waiting(order: Order, ends_ms: int) -> State:
    return State(Phase.WAITING_CARD, order, ends_ms=ends_ms, order_ends_ms=ends_ms)


def _hold_longer(state: State, event: Placed, now_ms: int) -> Step:
    return _hold(_same_order(state, event), event, now_ms)


def _go_on(state: State, event: Placed, _now_ms: int) -> Step:
    return _same_order(state, event), ()


def _same_order(state: State, event: Placed) -> State:
    if event.order == state.order:
        return state
    if state.order is not None and event.order.id == state.order.id:
        raise OrderReused(event.order.id)
    raise OrderBusy


def _turn_away(_state: State, _event: Placed, _now_ms: int) -> Step:
    raise CannotAccept


def _book(state: State, event: CardSeen, _now_ms: int) -> Step:
    order = state.order
    working = State(Phase.WORKING, order, order_ends_ms=state.order_ends_ms)
    return working, (Book(order, event.card, event.refusal),)


def _cancel(state: State, event: Cancelled, _now_ms: int) -> Step:
    if state.order is None or state.order.id != event.order_id:
        return state, ()
    return _IDLE, (Settle(_without_record(state.order, "cancelled")),)


def _show_trouble(state: State, event: Trouble, now_ms: int) -> Step:
    if state.phase is Phase.WAITING_CARD:
        return state._replace(problem=event.code), ()
    return State(problem=event.code, ends_ms=now_ms + RESULT_MS), ()


def _wait_again(state: State, event: Trouble, now_ms: int) -> Step:
    """The tap gave no answer: the order waits on, and long enough for the card to come back."""
    if state.order is None or state.order_ends_ms is None:
        return _show_trouble(state, event, now_ms)
    ends_ms = max(state.order_ends_ms, now_ms + AGAIN_MS)
    return _waiting(state.order, ends_ms)._replace(problem=event.code), ()


def _show(_state: State, event: Written, now_ms: int) -> Step:
    state = State(Phase.RESULT, None, event.answer, ends_ms=now_ms + RESULT_MS)
    return state, (Settle(event.answer),)


def _refuse(state: State, _event: Refused, now_ms: int) -> Step:
    return State(
        Phase.CANNOT_ACCEPT,
        state.order,
        ends_ms=now_ms + REOPEN_MS,
        order_ends_ms=state.order_ends_ms,
    ), ()


def _cancel_later(state: State, event: Cancelled, now_ms: int) -> Step:
    """End the order once the journal was asked: it may have been booked after all."""
    if state.order is None or state.order.id != event.order_id:
        return state, ()
    return state._replace(order_ends_ms=now_ms), ()


def _resume(state: State, event: Reopened, now_ms: int) -> Step:
    order = state.order.id if state.order else None
    if event.answer is not None and order in (None, event.answer.order):
        return _show(state, Written(event.answer), now_ms)
    if state.order is None or state.order_ends_ms is None:
        return _IDLE, ()
    if now_ms >= state.order_ends_ms:
        return _IDLE, (Settle(_without_record(state.order, "timed_out")),)
    return _waiting(state.order, state.order_ends_ms), ()


def _end_order(state: State, _event: Ticked, now_ms: int) -> Step:
    if state.order is None or not _is_over(state, now_ms):
        return state, ()
    return _IDLE, (Settle(_without_record(state.order, "timed_out")),)


def _end_showing(state: State, _event: Ticked, now_ms: int) -> Step:
    return (_IDLE if _is_over(state, now_ms) else state), ()


def _try_again(state: State, _event: Ticked, now_ms: int) -> Step:
    if not _is_over(state, now_ms):
        return state, ()
    return state._replace(ends_ms=now_ms + REOPEN_MS), (Reopen(),)


def _is_over(state: State, now_ms: int) -> bool:
    return state.ends_ms is not None and now_ms >= state.ends_ms


def _without_record(order: Order, code: str) -> Answer:
    return Answer(order=order.id, state=AnswerState.CANCELLED, code=code)


_Handler = Callable[[State, Any, int], Step]
# A pair that is not in here leaves the state as it is.
TABLE: dict[tuple[Phase, type], _Handler] = {
    (Phase.ATTRACT, Placed): _hold,
    (Phase.ATTRACT, CardSeen): _book,
    (Phase.ATTRACT, Trouble): _show_trouble,
    (Phase.ATTRACT, Refused): _refuse,
    (Phase.ATTRACT, Ticked): _end_showing,
    (Phase.WAITING_CARD, Placed): _hold_longer,
    (Phase.WAITING_CARD, Cancelled): _cancel,
    (Phase.WAITING_CARD, CardSeen): _book,
    (Phase.WAITING_CARD, Trouble): _show_trouble,
    (Phase.WAITING_CARD, Refused): _refuse,
    (Phase.WAITING_CARD, Ticked): _end_order,
    (Phase.WORKING, Placed): _go_on,
    (Phase.WORKING, Written): _show,
    (Phase.WORKING, Trouble): _wait_again,
    (Phase.WORKING, Refused): _refuse,
    (Phase.RESULT, Placed): _hold,
    (Phase.RESULT, CardSeen): _book,
    (Phase.RESULT, Trouble): _show_trouble,
    (Phase.RESULT, Refused): _refuse,
    (Phase.RESULT, Ticked): _end_showing,
    (Phase.CANNOT_ACCEPT, Placed): _turn_away,
    (Phase.CANNOT_ACCEPT, Cancelled): _cancel_later,
    (Phase.CANNOT_ACCEPT, Reopened): _resume,
    (Phase.CANNOT_ACCEPT, Ticked): _try_again,
}


def step(state: State, event: Event, now_ms: int) -> Step:
    """Return the state after ``event`` and what to do, in this order.

    Raises OrderBusy, OrderReused or CannotAccept for an order that must not be held; the state
    stays.
    """
    handler = TABLE.get((state.phase, type(event)))
    return handler(state, event, now_ms) if handler else (state, ())
