"""The fold: order, repeats and delays change nothing, and money is neither made nor lost."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.membership.event import Event, Order
from protocol.membership.fold import advance, advances, fold
from protocol.membership.state import EMPTY, State
from protocol.membership.tiers import Tier, tier_at
from protocol.record import Kind

HISTORIES = 1_500
_PRIORITY = {Kind.TOP_UP: 0, Kind.EARN: 1, Kind.SALE: 2, Kind.REDEEM: 3, Kind.VOID: 5}


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Up to 14 events of one member from 3 terminals, voids of present and absent ones too."""
    events: list[Event] = []
    for place in range(draw(st.integers(0, 14))):
        kind = draw(st.sampled_from(list(_PRIORITY)))
        occurred = draw(st.integers(0, 6))
        order = Order(occurred, _PRIORITY[kind], draw(st.sampled_from("abc")), 1, place)
        amount = draw(st.integers(1, 500))
        by_card = kind in (Kind.SALE, Kind.TOP_UP) and draw(st.integers(0, 3)) == 0
        target = draw(st.integers(0, 14)).to_bytes(16, "big")
        events.append(
            Event(
                order=order,
                tid=place.to_bytes(16, "big"),
                kind=kind,
                topped_up=amount if kind is Kind.TOP_UP else 0,
                drawn=amount if kind is Kind.SALE and not by_card else 0,
                net=amount if kind is Kind.SALE else 0,
                earned=amount // 10 if kind in (Kind.SALE, Kind.EARN) else 0,
                spent=amount if kind is Kind.REDEEM else 0,
                refers_to=target if kind is Kind.VOID else None,
                is_final=by_card,
            )
        )
    return events


def _valid(events: list[Event]) -> list[Event]:
    voided = {event.refers_to for event in events if event.kind is Kind.VOID}
    return [event for event in events if event.is_final or event.tid not in voided]


@settings(max_examples=HISTORIES)
@given(histories(), st.randoms(use_true_random=False))
def test_order_and_repeats_change_nothing(events: list[Event], random: Random) -> None:
    shuffled = events + random.sample(events, len(events) // 2)
    random.shuffle(shuffled)
    assert fold(shuffled) == fold(events)


@settings(max_examples=HISTORIES)
@given(histories())
def test_money_and_points_are_conserved(events: list[Event]) -> None:
    state, valid = fold(events), _valid(events)
    paid_in = sum(event.topped_up for event in valid)
    drawn = sum(event.drawn for event in valid)
    assert state.principal - state.overdraft == paid_in - drawn
    earned = sum(event.earned for event in valid)
    spent = sum(event.spent for event in valid)
    assert state.points - state.points_debt == earned - spent
    assert state.qualifying == sum(event.net for event in valid)
    assert min(state.principal, state.overdraft, state.points, state.points_debt) >= 0
    assert state.principal == 0 or state.overdraft == 0
    assert state.points == 0 or state.points_debt == 0


@settings(max_examples=HISTORIES)
@given(histories(), st.randoms(use_true_random=False))
def test_advancing_equals_folding_anew(events: list[Event], random: Random) -> None:
    """Whatever arrives next, late or not: only a void, or what one waits for, needs the history."""
    random.shuffle(events)
    state, seen = EMPTY, list[Event]()
    for event in events:
        waited_for = any(each.refers_to == event.tid for each in seen)
        seen.append(event)
        assert advances(state, event) == (event.kind is not Kind.VOID and not waited_for)
        state = advance(state, event) if advances(state, event) else fold(seen)
        assert state == fold(seen)


@settings(max_examples=HISTORIES)
@given(histories(), st.integers(0, 13))
def test_a_void_is_history_without_it(events: list[Event], place: int) -> None:
    if place >= len(events) or events[place].kind is Kind.VOID:
        return
    target = events[place]
    void = Event(Order(99, 5, "z", 1, 1), b"v" * 16, Kind.VOID, 0, 0, 0, 0, 0, target.tid)
    without = fold(events if target.is_final else [*events[:place], *events[place + 1 :]])
    after = fold([*events, void])
    assert _amounts(after) == _amounts(without)


def _amounts(state: State) -> tuple[int, ...]:
    return (
        state.principal,
        state.overdraft,
        state.points,
        state.points_debt,
        state.qualifying,
    )


def test_a_tier_is_reached_at_its_threshold() -> None:
    table = (Tier("silver", 100), Tier("gold", 500))
    reached = [tier_at(spend, table) for spend in (0, 99, 100, 499, 500, 10**9)]
    assert reached == ["", "", "silver", "silver", "gold", "gold"]
