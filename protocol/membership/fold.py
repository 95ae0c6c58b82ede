"""A member's state as a pure fold of the set of that member's events.

The result depends on the set alone: duplicates, delays and arrival order change nothing. What is
paid in, drawn, earned and spent adds up in any order; only a void needs the history again.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import structs

from protocol.membership import points, stored_value
from protocol.membership.event import Event
from protocol.membership.state import EMPTY, State
from protocol.record import Kind


def fold(events: Iterable[Event]) -> State:
    """Return the state after the set ``events``, given in any order, with or without repeats."""
    once = {event.order: event for event in events}
    voided = {event.refers_to for event in once.values() if event.kind is Kind.VOID}
    state = EMPTY
    for order in sorted(once):
        event = once[order]
        is_undone = event.tid in voided and not event.is_final
        state = _passed(state, event) if is_undone else _apply(state, event)
    waiting = voided - {event.tid for event in once.values()}
    return structs.replace(state, waiting_voids=tuple(sorted(filter(None, waiting))))


def advances(state: State, event: Event) -> bool:
    """Whether ``advance`` gives what a new fold with ``event``, which is not in it, would give."""
    return event.kind is not Kind.VOID and event.tid not in state.waiting_voids


def advance(state: State, event: Event) -> State:
    """Return ``state`` with one event more, for which ``advances`` must hold."""
    return _apply(state, event)


def _passed(state: State, event: Event) -> State:
    return structs.replace(state, newest=event.order)


def _apply(state: State, event: Event) -> State:
    principal, overdraft = state.principal, state.overdraft
    held, debt = state.points, state.points_debt
    if event.topped_up:
        principal, overdraft = stored_value.paid_in(principal, overdraft, event.topped_up)
    if event.drawn:
        principal, overdraft = stored_value.drawn(principal, overdraft, event.drawn)
    if event.earned:
        held, debt = points.earned(held, debt, event.earned)
    if event.spent:
        held, debt = points.taken(held, debt, event.spent)
    qualifying = state.qualifying + event.net
    waiting = state.waiting_voids
    newest = max(state.newest, event.order)
    return State(principal, overdraft, held, debt, qualifying, newest, waiting)
