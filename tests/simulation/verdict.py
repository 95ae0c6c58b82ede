"""What must hold in a simulated world that came to rest, in words where it does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain as chained

from cloud.storage.rows import QUARANTINED, Chain, RecordRow, seq_of
from protocol.chain import extend
from protocol.grant import opening_head
from protocol.membership.event import Event, event_of, moves_account
from protocol.membership.fold import fold
from protocol.membership.state import EMPTY
from protocol.watermark import Standing
from tests.simulation.ledger import Books, grant_of
from tests.simulation.terminal import Terminal


def faults(books: Books, terminals: Sequence[Terminal]) -> Iterator[str]:
    """What does not hold; nothing when all does."""
    by_chain: dict[int, list[RecordRow]] = {}
    for place, row in books.records.items():
        by_chain.setdefault(place >> 40, []).append(row)
    for terminal in terminals:
        for chain in books.chains.values():
            if chain.terminal == terminal.identity.terminal:
                yield from _chain_faults(terminal, chain, by_chain.get(chain.chain, []))
        yield from _answer_faults(terminal)
        yield from _rest_faults(books, terminal)
    yield from _sum_faults(books)
    yield from _member_faults(books, terminals)


def _chain_faults(terminal: Terminal, chain: Chain, rows: Sequence[RecordRow]) -> Iterator[str]:
    """Every record of every epoch is booked once, in its place, and nobody doubts it."""
    name = f"{chain.terminal}, epoch {chain.epoch}"
    records = [each for each in terminal.records() if each.record.epoch == chain.epoch]
    extend(opening_head(chain.epoch, grant_of(chain.epoch)), records)
    if chain.standing is not Standing.ACTIVE:
        yield f"{name}: {chain.standing.name}"
    booked = {seq_of(row.place): row.hash for row in rows if row.state != QUARANTINED}
    if booked != {each.record.seq: each.hash for each in records}:
        yield f"{name}: {len(records)} records, {len(booked)} in the ledger"
    doubts = Counter(row.audit for row in rows if row.audit)
    if doubts:
        yield f"{name}: {dict(doubts)}"
    acknowledged = terminal.acknowledged().get(chain.epoch, 0)
    if acknowledged != len(records):
        yield f"{name}: did not come to rest ({acknowledged} of {len(records)})"


def _answer_faults(terminal: Terminal) -> Iterator[str]:
    name, records = terminal.identity.terminal, terminal.records()
    written = {each.record.tid.hex() for each in records}
    lost = [each.tid for each in terminal.answered if each.tid and each.tid not in written]
    if lost:
        yield f"{name}: {len(lost)} answers without a record"
    orders = Counter(each.record.order for each in records if each.record.order)
    if any(count > 1 for count in orders.values()):
        yield f"{name}: an order was booked twice"


def _rest_faults(books: Books, terminal: Terminal) -> Iterator[str]:
    yield from terminal.faults
    name, relay = terminal.identity.terminal, terminal.relay
    newest = books.newest[name]
    if relay.state.epoch != newest or relay.queue:
        yield f"{name}: sends epoch {relay.state.epoch} of {newest}, {relay.queue} records wait"
    if relay.state.alarm or relay.left_alarm:
        yield f"{name}: {relay.state.alarm or relay.left_alarm}"
    if terminal.cache.state.version != books.list_version:
        yield f"{name}: has an old member list"


def _sum_faults(books: Books) -> Iterator[str]:
    by_unit: Counter[str] = Counter()
    for (_, unit), amount in books.balances.items():
        by_unit[unit] += amount
    if any(by_unit.values()):
        yield f"entries do not sum to zero: {dict(by_unit)}"
    if any(books.entries.values()):
        yield "a record's entries do not balance"
    if books.quarantined:
        yield f"{books.quarantined} records quarantined"


def _member_faults(books: Books, terminals: Sequence[Terminal]) -> Iterator[str]:
    """Balances are the folds of what is in the terminals' journals."""
    events: dict[str, list[Event]] = {}
    for sealed in chained.from_iterable(each.records() for each in terminals):
        record = sealed.record
        if moves_account(record.kind) and record.card is not None:
            events.setdefault(books.cards[record.card.reference], []).append(event_of(record))
    for member in sorted(set(books.cards.values())):
        right = fold(events.get(member, []))
        if right != books.states.get(member, EMPTY):
            yield f"{member}: state is not the fold of the journals"
        if -books.balances["principal:" + member, "CNY"] != right.principal:
            yield f"{member}: balance is not the fold of the journals"
