"""What this terminal booked and others do not know yet, by card. Reading it back is left to books.

The member list covers the terminal's records up to a place; those behind it come on top of the
list. What was spent offline counts against the card until the ledger has acknowledged it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from protocol.membership.event import STORED_VALUE, Event, event_of, moves_account
from protocol.membership.fold import advance
from protocol.membership.state import State
from protocol.record import Kind, Mode, Record
from protocol.risk.limits import OfflineUse


class Place(NamedTuple):
    """Where a record stands in the terminal's life."""

    epoch: int
    seq: int


START = Place(0, 0)


def place_of(record: Record) -> Place:
    """Return where ``record`` stands."""
    return Place(record.epoch, record.seq)


class Pending:
    """Entries of records behind ``covered``; records must be added in the order of their places."""

    def __init__(self) -> None:
        self.covered = START
        self.acknowledged = START
        self._queue: deque[tuple[Place, bytes]] = deque()
        self._events: dict[bytes, deque[Event]] = {}
        self._offline: dict[bytes, deque[tuple[Place, int]]] = {}
        self._last_offline = START

    def add(self, record: Record, target: Record | None = None) -> None:
        """Note ``record``; ``target`` is the one that it takes back, when it is a void."""
        place = place_of(record)
        if record.card is None or not moves_account(record.kind):
            return
        reference, event = record.card.reference, event_of(record)
        if _spends_offline(record) and place > self.acknowledged:
            self._offline.setdefault(reference, deque()).append((place, event.drawn))
            self._last_offline = place
        if place <= self.covered:
            return
        if record.kind is Kind.VOID:
            if target is None:
                return
            event = mirrored(event, event_of(target))
        self._queue.append((place, reference))
        self._events.setdefault(reference, deque()).append(event)

    def cover(self, place: Place) -> None:
        """Forget records up to ``place``: the member list has them."""
        self.covered = place
        while self._queue and self._queue[0][0] <= place:
            _, reference = self._queue.popleft()
            events = self._events[reference]
            events.popleft()
            if not events:
                del self._events[reference]

    def acknowledge(self, place: Place) -> None:
        """The ledger has all records up to ``place``: the limits start anew for them."""
        self.acknowledged = max(self.acknowledged, place)
        if self.acknowledged >= self._last_offline:
            self._offline.clear()

    def events(self, references: Iterable[bytes]) -> list[Event]:
        """Return what the cards did behind the member list."""
        return [event for card in references for event in self._events.get(card, ())]

    def use(self, reference: bytes) -> OfflineUse:
        """Return what the card spent offline and the ledger has not acknowledged."""
        spent = self._offline.get(reference, deque())
        while spent and spent[0][0] <= self.acknowledged:
            spent.popleft()
        return OfflineUse(len(spent), sum(amount for _, amount in spent))


def _spends_offline(record: Record) -> bool:
    """Whether the limits count it: what the till was paid uses nothing up."""
    draws = any(tender.method == STORED_VALUE for tender in record.tenders)
    return record.kind is Kind.SALE and record.mode is Mode.OFFLINE and draws


def mirrored(void: Event, target: Event) -> Event:
    """Return the event that moves back what ``target`` moved, in the place of ``void``."""
    return void._replace(
        topped_up=target.drawn,
        drawn=target.topped_up,
        net=-target.net,
        earned=target.spent,
        spent=target.earned,
    )


def state_after(state: State, events: Iterable[Event]) -> State:
    """Return ``state`` with ``events`` on top, in their canonical order."""
    for event in sorted(events, key=lambda each: each.order):
        state = advance(state, event)
    return state


def state_behind(state: State, record: Record, target: Record | None) -> State:
    """Return ``state`` with ``record`` on top; ``target`` is what it takes back, if it does."""
    if not moves_account(record.kind):
        return state
    event = event_of(record)
    if target is not None:
        event = mirrored(event, event_of(target))
    return state_after(state, [event])
