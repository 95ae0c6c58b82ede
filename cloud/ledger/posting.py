"""What a record does to the books: legs that sum to zero for each unit. Pure.

A record has two kinds of legs. Its facts (cash taken, price charged, points given) stand as they
are; the member's legs are the difference of two folds, so a late record corrects what was derived.
"""

from __future__ import annotations

from typing import NamedTuple

from cloud.ledger.accounts import (
    POINTS,
    POINTS_GRANTED,
    POINTS_REDEEMED,
    Account,
    cash,
    member_accounts,
    price_variance,
    purse,
    sales,
)
from protocol.membership.event import CARD_PURSE, STORED_VALUE, Event, event_of
from protocol.membership.state import State
from protocol.record import Kind, Record

Legs = dict[Account, int]


class Books(NamedTuple):
    """Where a record is booked: the currency of the tenant and the site of the terminal."""

    currency: str
    site: str


def charged_event(record: Record, gap: int) -> Event:
    """The event in ``record`` as the member is charged for it.

    ``gap`` is what the terminal charged above the named bundle: it qualifies for no tier, and
    what of it stored value paid is not drawn. A gap below zero stays with the merchant.
    """
    event = event_of(record)
    if gap <= 0:
        return event
    return event._replace(drawn=event.drawn - given_back(record, gap), net=event.net - gap)


def given_back(record: Record, gap: int) -> int:
    """What of a gap above zero the member has back: at most what the sale drew, in minor units.

    Nobody but the terminal knows of other tenders: a refund of them could be made out of nothing.
    """
    return min(gap, record.paid_by(STORED_VALUE))


def facts(record: Record, gap: int, books: Books) -> Legs:
    """The legs of what happened, without the member's accounts.

    A void has none itself: it takes back those of what it refers to.
    """
    legs: Legs = {}
    kind = record.kind
    if kind is Kind.VOID:
        return legs
    site, currency = books.site, books.currency
    total = 0
    for tender in record.tenders:
        total += tender.amount
        if tender.method != STORED_VALUE:
            if tender.method == CARD_PURSE and record.card is not None:
                account = purse(record.card.reference, currency)
            else:
                account = cash(tender.method, site, currency)
            legs[account] = legs.get(account, 0) + tender.amount
    if kind is Kind.SALE:
        legs[sales(site, currency)] = min(gap, 0) - total
        if variance := given_back(record, gap) if gap > 0 else -gap:
            legs[price_variance(site, currency)] = variance
    if record.earned:
        legs[POINTS_GRANTED] = record.earned
    if record.spent:
        legs[POINTS_REDEEMED] = -record.spent
    return legs


def taken_back(legs: Legs) -> Legs:
    """The legs that make ``legs`` undone."""
    return {account: -amount for account, amount in legs.items()}


def with_member(legs: Legs, member: str, before: State, after: State, currency: str) -> Legs:
    """Add the legs by which a member's accounts go from one fold to another."""
    names = member_accounts(member, currency)
    legs[names.principal] = before.principal - after.principal
    legs[names.overdraft] = after.overdraft - before.overdraft
    legs[names.points] = before.points - after.points
    legs[names.points_debt] = after.points_debt - before.points_debt
    return legs


def is_balanced(legs: Legs) -> bool:
    """Whether the legs sum to zero for each unit."""
    money = points = 0
    for account, amount in legs.items():
        if account.unit == POINTS:
            points += amount
        else:
            money += amount
    return not money and not points
