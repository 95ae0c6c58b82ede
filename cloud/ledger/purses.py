"""What cards told of the purses on them, terminal by terminal, and how that agrees.

A torn debit is settled by the terminal that asked for it, once it sees the card again. What other
terminals read of the card meanwhile tells an operator what that will be.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sqlalchemy import Connection, select

from cloud.storage.rows import QUARANTINED
from cloud.storage.schema import records as records_table
from protocol.membership.event import CARD_NOT_DEBITED, CARD_PURSE, CARD_TORN
from protocol.record import Card, Record, read

# A page shall not read a life: what lies behind so many records is settled.
RECORDS_READ = 500
MOVED, NOT_MOVED, OPEN = "moved", "not_moved", "open"
# Families whose counter rises with every change of the balance: one counter, one balance.
_COUNTS_EVERY_CHANGE = frozenset(("desfire",))


class TornDebit(NamedTuple):
    """A debit of ``amount`` minor units that no terminal has settled; ``fate`` is what cards say.

    MOVED or NOT_MOVED as other terminals saw the card since, else OPEN.
    """

    record: Record
    amount: int
    fate: str


class Purse(NamedTuple):
    """One card's purse. ``balance`` (minor units) as the card told last, at ``told_ms``.

    ``taken``: what terminals took from it in all. ``contradicting`` are records that cannot both
    be true of one card with others: it was copied, issued again, or a terminal invents.
    """

    balance: int
    told_ms: int
    taken: int
    torn: tuple[TornDebit, ...]
    contradicting: tuple[Record, ...]


class _Sight(NamedTuple):
    """One record of one card: what the purse held, by the card's counter, the newest last."""

    record: Record
    card: Card
    held: tuple[tuple[int, int], ...]
    is_debit: bool

    @property
    def counter(self) -> int:
        """The card's counter when the terminal was done with it."""
        return self.held[-1][0]


def purses(records: Iterable[Record]) -> dict[bytes, Purse]:
    """Return the purses by card reference; ``records`` are those of their cards, in any order."""
    by_card: dict[bytes, list[_Sight]] = defaultdict(list)
    for record in records:
        sight = _sight(record)
        if sight is not None:
            by_card[sight.card.reference].append(sight)
    return {reference: _purse(sights) for reference, sights in by_card.items()}


def purses_of(connection: Connection, member: str) -> dict[bytes, Purse]:
    """Return the purses on a member's cards, by what the newest RECORDS_READ records say."""
    query = (
        select(records_table.c.data)
        .where(records_table.c.member == member, records_table.c.state != QUARANTINED)
        .order_by(records_table.c.occurred_ms.desc())
        .limit(RECORDS_READ)
    )
    return purses(read(data)[0].record for (data,) in connection.execute(query))


def _sight(record: Record) -> _Sight | None:
    card = record.card
    if card is None or card.counter is None or card.balance_before is None:
        return None
    if card.balance_after is None:
        return _Sight(record, card, ((card.counter, card.balance_before),), is_debit=False)
    held = (card.counter - 1, card.balance_before), (card.counter, card.balance_after)
    return _Sight(record, card, held, is_debit=True)


def _purse(sights: list[_Sight]) -> Purse:
    sights.sort(key=lambda sight: (sight.record.moment.wall_ms, sight.record.seq))
    last = max(sights, key=lambda sight: (sight.counter, sight.record.moment.wall_ms))
    torn = tuple(
        TornDebit(sight.record, sight.record.paid_by(CARD_PURSE), _fate(sight, sights))
        for sight in sights
        if sight.record.reason == CARD_TORN
        and not sight.is_debit
        and _is_open(sight.record, sights)
    )
    taken = sum(sight.record.paid_by(CARD_PURSE) for sight in sights if sight.is_debit)
    wrong = tuple(_contradicting(sights))
    return Purse(last.held[-1][1], last.record.moment.wall_ms, taken, torn, wrong)


def _is_open(torn: Record, sights: list[_Sight]) -> bool:
    """Whether no record says what became of the debit that ``torn`` refers to.

    That its card could not tell settles nothing: other terminals' readings may.
    """
    return not any(
        sight.record.tid == torn.refers_to
        or (sight.record.refers_to == torn.refers_to and sight.record.reason == CARD_NOT_DEBITED)
        for sight in sights
    )


def _fate(torn: _Sight, sights: list[_Sight]) -> str:
    """What the card told since: what its counter's next step was, or that there was none."""
    before, balance = torn.held[0]
    if any(sight.is_debit and sight.counter == before + 1 for sight in sights):
        return NOT_MOVED
    at_ms = torn.record.moment.wall_ms
    since = [held for sight in sights if sight.record.moment.wall_ms > at_ms for held in sight.held]
    if any(counter == before for counter, _ in since):
        return NOT_MOVED
    return MOVED if (before + 1, balance - torn.record.paid_by(CARD_PURSE)) in since else OPEN


def _contradicting(sights: list[_Sight]) -> Iterator[Record]:
    """Debits with one counter; two balances at one counter, where each change has its own."""
    debits: dict[int, bytes] = {}
    balances: dict[int, int] = {}
    for sight in sights:
        tid = sight.record.tid
        wrong = sight.is_debit and debits.setdefault(sight.counter, tid) != tid
        if sight.card.family in _COUNTS_EVERY_CHANGE:
            for counter, balance in sight.held:
                wrong |= balances.setdefault(counter, balance) != balance
        if wrong:
            yield sight.record
