"""One step in a member's account, taken from a record, and the canonical order of such steps."""

from __future__ import annotations

from typing import NamedTuple

from protocol.record import Kind, Record

STORED_VALUE = "stored_value"
# Paid by the purse on the card itself: its money is not on the account.
CARD_PURSE = "card_purse"
# Reasons of what a terminal notes of a card's debit: its answer was lost; it did not happen; the
# card cannot tell any more.
CARD_TORN, CARD_NOT_DEBITED = "card_torn", "card_not_debited"
CARD_IN_DOUBT = "card_fate_unknown"

# Inside one millisecond money comes in before it goes out, and a void finds what it voids.
_PRIORITY = {Kind.TOP_UP: 0, Kind.EARN: 1, Kind.SALE: 2, Kind.REDEEM: 3, Kind.VOID: 5}
# Kinds that move nobody's balance; the ledger keeps them as evidence.
NOTED = frozenset(
    (
        Kind.ENROL,
        Kind.CARD_EVENT,
        Kind.DECLINE,
        Kind.BUNDLE_ON,
        Kind.LIST_ON,
        Kind.CLOCK_STEP,
        Kind.OPERATOR,
        Kind.TAMPER,
        Kind.EPOCH_OPEN,
        Kind.GAP_DECLARED,
    )
)


class Order(NamedTuple):
    """Canonical order: any two events of a member compare the same everywhere, for ever."""

    occurred_ms: int
    priority: int
    terminal: str
    epoch: int
    seq: int


START = Order(-1, 0, "", 0, 0)


class Event(NamedTuple):
    """Facts of one record that move an account; amounts in minor units, points as whole numbers.

    ``topped_up`` is money paid in, ``drawn`` what stored value pays, ``net`` the price charged by
    any tender (it qualifies for a tier); ``refers_to`` names what a void takes back. ``is_final``:
    nothing takes it back, since its money came from a card that nobody can put it back on.
    """

    order: Order
    tid: bytes
    kind: Kind
    topped_up: int
    drawn: int
    net: int
    earned: int
    spent: int
    refers_to: bytes | None
    is_final: bool = False


def moves_account(kind: Kind) -> bool:
    """Whether records of ``kind`` are events of a member's account."""
    return kind in _PRIORITY


def event_of(record: Record) -> Event:
    """Return the event in ``record``, whose kind must move an account (else KeyError)."""
    kind = record.kind
    paid = drawn = 0
    is_final = False
    for tender in record.tenders:
        paid += tender.amount
        is_final |= tender.method == CARD_PURSE
        if tender.method == STORED_VALUE:
            drawn += tender.amount
    sale = kind is Kind.SALE
    return Event(
        Order(record.moment.wall_ms, _PRIORITY[kind], record.terminal, record.epoch, record.seq),
        record.tid,
        kind,
        paid if kind is Kind.TOP_UP else 0,
        drawn if sale else 0,
        paid if sale else 0,
        record.earned,
        record.spent,
        record.refers_to,
        is_final,
    )
