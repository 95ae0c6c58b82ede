"""The table between an order and its answer: every pair, and any sequence of events."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec import structs

from edge.errors import CannotAccept, OrderBusy
from edge.order import Answer, AnswerState, Order
from edge.tap_flow import (
    AGAIN_MS,
    ORDER_WAITS_MS,
    REOPEN_MS,
    RESULT_MS,
    TABLE,
    Book,
    Cancelled,
    CardSeen,
    Event,
    Phase,
    Placed,
    Refused,
    Reopen,
    Reopened,
    Settle,
    State,
    Ticked,
    Trouble,
    Written,
    step,
)
from tests.edge.world import card, coffee

NOW = 1_000
ORDER, OTHER = coffee("o1"), coffee("o2")
APPROVED = Answer(order="o1", state=AnswerState.APPROVED, tid="ab")
ATTRACT = State()
WAITING = State(Phase.WAITING_CARD, ORDER, ends_ms=NOW + 5, order_ends_ms=NOW + 5)
WORKING = State(Phase.WORKING, ORDER, order_ends_ms=NOW + 5)
RESULT = State(Phase.RESULT, None, APPROVED, ends_ms=NOW + 5)
REFUSING = State(Phase.CANNOT_ACCEPT, ORDER, ends_ms=NOW + 5, order_ends_ms=NOW + 5)
EVENTS: dict[type, Event] = {
    Placed: Placed(OTHER),
    Cancelled: Cancelled("o1"),
    CardSeen: CardSeen(card()),
    Trouble: Trouble("card_gone"),
    Written: Written(APPROVED),
    Refused: Refused(),
    Reopened: Reopened(None),
    Ticked: Ticked(),
}


def held(order: Order) -> State:
    ends_ms = NOW + ORDER_WAITS_MS
    return State(Phase.WAITING_CARD, order, ends_ms=ends_ms, order_ends_ms=ends_ms)


def result(answer: Answer) -> State:
    return State(Phase.RESULT, None, answer, ends_ms=NOW + RESULT_MS)


REFUSED_NOW = State(Phase.CANNOT_ACCEPT, ORDER, ends_ms=NOW + REOPEN_MS, order_ends_ms=NOW + 5)
TROUBLED = State(problem="card_gone", ends_ms=NOW + RESULT_MS)
AGAIN = State(
    Phase.WAITING_CARD,
    ORDER,
    problem="card_gone",
    ends_ms=NOW + AGAIN_MS,
    order_ends_ms=NOW + AGAIN_MS,
)
EXPECTED = {
    (Phase.ATTRACT, Placed): (held(OTHER), ()),
    (Phase.ATTRACT, CardSeen): (State(Phase.WORKING), (Book(None, card(), ""),)),
    (Phase.ATTRACT, Trouble): (TROUBLED, ()),
    (Phase.ATTRACT, Refused): (State(Phase.CANNOT_ACCEPT, ends_ms=NOW + REOPEN_MS), ()),
    (Phase.WAITING_CARD, Placed): OrderBusy,
    (Phase.WAITING_CARD, Cancelled): (
        ATTRACT,
        (Settle(Answer(order="o1", state=AnswerState.CANCELLED, code="cancelled")),),
    ),
    (Phase.WAITING_CARD, CardSeen): (WORKING, (Book(ORDER, card(), ""),)),
    (Phase.WAITING_CARD, Trouble): (WAITING._replace(problem="card_gone"), ()),
    (Phase.WAITING_CARD, Refused): (REFUSED_NOW, ()),
    (Phase.WORKING, Placed): OrderBusy,
    (Phase.WORKING, Written): (result(APPROVED), (Settle(APPROVED),)),
    (Phase.WORKING, Trouble): (AGAIN, ()),
    (Phase.WORKING, Refused): (REFUSED_NOW, ()),
    (Phase.RESULT, Placed): (held(OTHER), ()),
    (Phase.RESULT, CardSeen): (State(Phase.WORKING), (Book(None, card(), ""),)),
    (Phase.RESULT, Trouble): (TROUBLED, ()),
    (Phase.RESULT, Refused): (State(Phase.CANNOT_ACCEPT, ends_ms=NOW + REOPEN_MS), ()),
    (Phase.CANNOT_ACCEPT, Placed): CannotAccept,
    (Phase.CANNOT_ACCEPT, Cancelled): (REFUSING._replace(order_ends_ms=NOW), ()),
    (Phase.CANNOT_ACCEPT, Reopened): (WAITING, ()),
}


def test_an_order_waits_on_when_the_disk_holds_the_answer_of_another() -> None:
    """A tap settled what an earlier one left open, and the disk refused in between."""
    other = structs.replace(APPROVED, order="")
    assert step(REFUSING, Reopened(other), NOW) == (WAITING, ())
    assert step(REFUSING, Reopened(APPROVED), NOW) == (result(APPROVED), (Settle(APPROVED),))


def test_the_table_names_every_event() -> None:
    assert {event for _, event in TABLE} == set(get_args(Event)) == set(EVENTS)


@pytest.mark.parametrize("state", [ATTRACT, WAITING, WORKING, RESULT, REFUSING], ids=str)
@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_every_pair(state: State, kind: type) -> None:
    expected = EXPECTED.get((state.phase, kind), (state, ()))
    if isinstance(expected, type):
        with pytest.raises(expected):
            step(state, EVENTS[kind], NOW)
    else:
        assert step(state, EVENTS[kind], NOW) == expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (ATTRACT, (ATTRACT, ())),
        (TROUBLED, (ATTRACT, ())),
        (
            WAITING,
            (
                ATTRACT,
                (Settle(Answer(order="o1", state=AnswerState.CANCELLED, code="timed_out")),),
            ),
        ),
        (WORKING, (WORKING, ())),
        (RESULT, (ATTRACT, ())),
        (REFUSING, (REFUSING._replace(ends_ms=NOW + RESULT_MS + REOPEN_MS), (Reopen(),))),
    ],
)
def test_what_ends_by_itself(state: State, expected: tuple[State, tuple[object, ...]]) -> None:
    assert step(state, Ticked(), NOW + RESULT_MS) == expected


def test_the_same_order_placed_again_waits_anew() -> None:
    assert step(WAITING, Placed(ORDER), NOW) == (held(ORDER), ())
    assert step(WORKING, Placed(ORDER), NOW) == (WORKING, ())


def test_another_order_is_not_cancelled() -> None:
    assert step(WAITING, Cancelled("o2"), NOW) == (WAITING, ())


def test_whoever_asks_meanwhile_does_not_put_the_next_attempt_off() -> None:
    assert step(REFUSING, Refused(), NOW) == (REFUSING, ())


@pytest.mark.parametrize("event", [None, Cancelled("o1")])
def test_an_order_does_not_outlive_its_time_on_a_disk_that_refuses(event: Event | None) -> None:
    """The next person's card must not pay for it, however long the disk was full."""
    state, _ = step(REFUSING, event, NOW) if event else (REFUSING, ())
    end = NOW if event else NOW + 3 * 3_600_000
    ended = Settle(Answer(order="o1", state=AnswerState.CANCELLED, code="timed_out"))
    assert step(state, Reopened(None), end) == (ATTRACT, (ended,))


def test_a_refused_record_that_is_on_disk_has_happened() -> None:
    assert step(REFUSING, Reopened(APPROVED), NOW) == (result(APPROVED), (Settle(APPROVED),))


def test_a_balance_that_could_not_be_written_is_forgotten() -> None:
    refusing = REFUSING._replace(order=None)
    assert step(refusing, Reopened(None), NOW) == (ATTRACT, ())


class TapFlow(RuleBasedStateMachine):
    """Any till, any card and any disk: what was settled is what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State()
        self.now = 0
        self.placed: set[str] = set()
        self.written: set[str] = set()
        self.settled: dict[str, Answer] = {}
        self.disk_works = True

    def feed(self, event: Event) -> None:
        self.state, actions = step(self.state, event, self.now)
        for action in actions:
            if isinstance(action, Book):
                self.feed(self.book(action))
            elif isinstance(action, Reopen):
                self.feed(Reopened(None) if self.disk_works else Refused())
            else:
                answer = action.answer
                assert answer.order not in self.settled or not answer.order, "answered once"
                self.settled[answer.order] = answer

    def book(self, action: Book) -> Event:
        if not self.disk_works:
            return Refused()
        order = action.order.id if action.order else ""
        assert order not in self.written or not order, "one record for an order"
        self.written.add(order)
        return Written(Answer(order=order, state=AnswerState.APPROVED, tid="ab"))

    @rule()
    def place(self) -> None:
        order = coffee(f"o{len(self.placed)}")
        try:
            self.feed(Placed(order))
        except (OrderBusy, CannotAccept):
            assert self.state.phase is Phase.CANNOT_ACCEPT or self.state.order is not None
        else:
            self.placed.add(order.id)
            assert self.state.order == order

    @rule(known=st.booleans())
    def tap(self, known: bool) -> None:  # noqa: FBT001
        self.feed(CardSeen(card()) if known else CardSeen(None, "card_forged"))

    @rule()
    def trouble(self) -> None:
        before = self.state.order
        self.feed(Trouble("card_gone"))
        assert self.state.order == before

    @precondition(lambda self: self.placed)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.feed(Cancelled(data.draw(st.sampled_from(sorted(self.placed)))))

    @rule(milliseconds=st.sampled_from([10, REOPEN_MS, RESULT_MS, ORDER_WAITS_MS]))
    def time_passes(self, milliseconds: int) -> None:
        self.now += milliseconds
        self.feed(Ticked())

    @rule(works=st.booleans())
    def disk(self, works: bool) -> None:  # noqa: FBT001
        self.disk_works = works

    @invariant()
    def approved_means_written(self) -> None:
        for order, answer in self.settled.items():
            assert (answer.state is AnswerState.APPROVED) == (order in self.written)
        if self.state.phase is Phase.RESULT:
            assert self.state.answer is not None
            assert self.state.answer.order in self.written

    @invariant()
    def every_order_is_held_or_settled(self) -> None:
        held = {self.state.order.id} if self.state.order else set()
        assert self.placed == held | (self.settled.keys() - {""})
        assert held.isdisjoint(self.settled)

    @invariant()
    def no_phase_lasts_for_ever_with_an_order(self) -> None:
        assert self.state.phase is not Phase.WORKING
        if self.state.order is not None:
            assert self.state.ends_ms is not None

    def teardown(self) -> None:
        """With a disk that works and time, everything comes to an end."""
        self.disk_works = True
        for _ in range(3):
            self.now += ORDER_WAITS_MS
            self.feed(Ticked())
        assert self.state == State()
        self.every_order_is_held_or_settled()


TestTapFlow = TapFlow.TestCase
