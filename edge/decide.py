"""Snapshot, own records, bundle and limits in; the record to write out. Knows no clock, no disk."""

from __future__ import annotations

from typing import NamedTuple

from edge.draft import Draft
from edge.order import Answer, AnswerState, Order, OrderKind
from protocol.errors import ProtocolError, TooLarge
from protocol.member_list import CardState, Snapshot
from protocol.membership.event import CARD_PURSE, STORED_VALUE
from protocol.membership.state import State
from protocol.record import BundleRef, Card, CardClass, Kind, Mode, Record, Tender
from protocol.risk.limits import OfflineUse, left_after
from protocol.rules.evaluate import Pricing

BALANCE_SHOWN = "balance_shown"
BALANCE_TOO_LOW = "balance_too_low"
TERMINAL_LOCKED = "terminal_locked"
TERMINAL_STOPPED = "terminal_stopped"
NO_PRICES = "no_prices"
CARD_UNKNOWN = "card_unknown"

_BOOKED = (Kind.SALE, Kind.TOP_UP, Kind.VOID)
_CARD_REASONS = {
    CardState.FROZEN: "card_frozen",
    CardState.LOST: "card_lost",
    CardState.CANCELLED: "card_cancelled",
}


class Tap(NamedTuple):
    """A card at the terminal. ``refusal`` is why it could not prove itself; then card is None."""

    order: Order | None
    card: Card | None
    refusal: str = ""


class InForce(NamedTuple):
    """The bundle by which the terminal prices now."""

    pricing: Pricing
    ref: BundleRef


class Facts(NamedTuple):
    """What the terminal knows at the moment of a tap.

    ``snapshot`` has its own records on top; ``use`` is what the card spent offline; ``closed`` is
    why no card must be served (TERMINAL_LOCKED, TERMINAL_STOPPED) or empty; ``target`` is the
    record that a void refers to, ``target_known`` whether the ledger has it, and ``voided``
    whether it was taken back here before. ``purse`` is what the card itself can pay now, in minor
    units, None when it has no purse.
    """

    in_force: InForce | None
    snapshot: Snapshot | None
    use: OfflineUse = OfflineUse(0, 0)
    list_version: int = 0
    online: bool = True
    closed: str = ""
    target: Record | None = None
    target_known: bool = False
    voided: bool = False
    purse: int | None = None


class Decision(NamedTuple):
    """The record to write; ``state`` is the member's before it, None when no member is known."""

    draft: Draft
    state: State | None


class _Declined(Exception):
    """Ends a decision with the reason that the record carries."""


def decide(tap: Tap, facts: Facts) -> Decision:
    """Return what to write for ``tap``: every tap that gets an answer is exactly one record."""
    state = facts.snapshot.state if facts.snapshot else None
    draft = Draft(
        Kind.DECLINE,
        card=tap.card,
        tier=facts.in_force.pricing.tier(state.qualifying) if facts.in_force and state else "",
        bundle=facts.in_force.ref if facts.in_force else None,
        list_version=facts.list_version,
        mode=Mode.ONLINE if facts.online else Mode.OFFLINE,
        order=tap.order.id if tap.order else "",
    )
    try:
        return Decision(_approved(tap, facts, draft, state), state)
    except _Declined as reason:
        return Decision(draft._replace(reason=str(reason)), state)


def named(card: Card | None) -> Card | None:
    """Return of ``card`` only what names it."""
    return card and Card(card.reference, card.family, card.assurance)


def unrecordable(decision: Decision, error: ProtocolError) -> Decision:
    """Return the decline of a tap whose record cannot be written because of ``error``.

    It keeps of the card only what names it: anything else may be what could not be written.
    """
    draft = decision.draft
    declined = Draft(
        Kind.DECLINE,
        card=named(draft.card),
        tier=draft.tier,
        bundle=draft.bundle,
        list_version=draft.list_version,
        mode=draft.mode,
        order=draft.order,
        reason="sale_too_large" if isinstance(error, TooLarge) else "unrecordable",
    )
    return decision._replace(draft=declined)


def _approved(tap: Tap, facts: Facts, draft: Draft, state: State | None) -> Draft:
    """Return the approving record, or raise _Declined."""
    if tap.card is None:
        raise _Declined(tap.refusal)
    if facts.closed:
        raise _Declined(facts.closed)
    if tap.order is not None and facts.in_force is None:
        raise _Declined(NO_PRICES)
    if facts.snapshot is None or state is None:
        raise _Declined(CARD_UNKNOWN)
    _check_card(tap.card, facts.snapshot)
    if tap.order is None or facts.in_force is None:
        return draft._replace(kind=Kind.CARD_EVENT, reason=BALANCE_SHOWN)
    if tap.order.kind is OrderKind.TOP_UP:
        tender = Tender(tap.order.method, tap.order.amount)
        return draft._replace(kind=Kind.TOP_UP, tenders=(tender,))
    if tap.order.kind is OrderKind.VOID:
        _check_void(tap.card, facts, state)
        return draft._replace(kind=Kind.VOID, refers_to=tap.order.refers_to)
    return _sale(tap.order, tap.card, facts, facts.in_force.pricing, draft, state)


def _check_card(card: Card, snapshot: Snapshot) -> None:
    states = {entry.reference: entry.state for entry in snapshot.cards}
    state = states.get(card.reference)
    if state is None:
        raise _Declined(CARD_UNKNOWN)
    if state is not CardState.ACTIVE:
        raise _Declined(_CARD_REASONS[state])


def _check_void(card: Card, facts: Facts, state: State) -> None:
    target = facts.target
    if target is None or target.card is None or target.kind not in (Kind.SALE, Kind.TOP_UP):
        raise _Declined("void_unknown")
    if target.card.reference != card.reference:
        raise _Declined("void_other_card")
    if any(tender.method == CARD_PURSE for tender in target.tenders):
        raise _Declined("void_card_purse")  # no terminal can put money back on a card
    if facts.voided:
        raise _Declined("void_twice")
    if facts.target_known and not facts.online:
        raise _Declined("void_needs_line")  # it may have been taken back elsewhere
    if target.kind is Kind.TOP_UP and state.balance < target.total:
        raise _Declined(BALANCE_TOO_LOW)


def _sale(
    order: Order, card: Card, facts: Facts, pricing: Pricing, draft: Draft, state: State
) -> Draft:
    """Price the basket; _Declined when the card may not, or cannot, pay it.

    Where the till was paid the card only earns: any card may, and no limit is used up. Nor is one
    where the purse on the card pays, which it does whenever it can: it cannot be spent twice.
    """
    if card.assurance is CardClass.UID and not order.method:
        raise _Declined("card_cannot_pay")
    try:
        priced = pricing.price([(item.sku, item.quantity) for item in order.items], draft.tier)
    except ProtocolError as error:
        raise _Declined(error.code) from error
    method = order.method or (CARD_PURSE if _pays(facts.purse, priced.total) else STORED_VALUE)
    left = None
    if not facts.online and method == STORED_VALUE:
        left = left_after(pricing.bundle.limits, facts.use, priced.total)
        if left is None:
            raise _Declined("offline_limit")
    if method == STORED_VALUE and state.balance < priced.total:
        raise _Declined(BALANCE_TOO_LOW)
    return draft._replace(
        kind=Kind.SALE,
        lines=priced.lines,
        tenders=(Tender(method, priced.total),),
        earned=priced.earned,
        offline_left=left,
    )


def _pays(purse: int | None, total: int) -> bool:
    return purse is not None and purse >= total > 0


def answer_of(record: Record, state: State | None, target: Record | None) -> Answer:
    """Return the answer that ``record`` is; ``state`` is the member's after it."""
    declined = record.kind is Kind.DECLINE
    return Answer(
        order=record.order,
        state=AnswerState.DECLINED if declined else AnswerState.APPROVED,
        kind=record.kind.name.lower() if record.kind in _BOOKED else "",
        method=record.tenders[0].method if record.tenders and not declined else "",
        code=record.reason,
        tid=record.tid.hex(),
        epoch=record.epoch,
        seq=record.seq,
        receipt=record.receipt,
        total=target.total if target and record.kind is Kind.VOID else record.total,
        earned=record.earned,
        balance=state.balance if state else None,
        card_balance=_on_card(record.card),
        points=state.points - state.points_debt if state else None,
        tier=record.tier,
        offline=record.mode is Mode.OFFLINE,
        bundle=record.bundle.version if record.bundle else 0,
    )


def _on_card(card: Card | None) -> int | None:
    """What the purse on the card holds after all, None when it has none that pays here."""
    if card is None or card.assurance is not CardClass.VALUE:
        return None
    return card.balance_before if card.balance_after is None else card.balance_after
