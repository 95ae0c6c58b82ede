"""What a record does to the books: legs that sum to zero for each unit. Pure.

A record has two kinds of legs. Its facts (cash taken, price charged, points given) stand as they
are; the member's legs are the difference of two folds, so a late record corrects what was derived.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from cloud.ledger import accounts
from protocol.membership.event import STORED_VALUE, Event, event_of
from protocol.membership.state import State
from protocol.record import Kind, Record


class Leg(NamedTuple):
    """An amount on an account."""

    account: str
    unit: str
    amount: int


class Books(NamedTuple):
    """Where a record is booked: the currency of the tenant and the site of the terminal."""

    currency: str
    site: str


def charged_event(record: Record, gap: int) -> Event:
    """The event in ``record`` as the member is charged for it.

    ``gap`` is what the terminal charged above the named bundle: the member has it back. A gap
    below zero stays with the merchant, so the event does not change.
    """
    event = event_of(record)
    if gap <= 0:
        return event
    undrawn = min(gap, event.drawn)
    return event._replace(
        drawn=event.drawn - undrawn,
        topped_up=event.topped_up + gap - undrawn,
        net=event.net - gap,
    )


def facts(record: Record, gap: int, books: Books) -> list[Leg]:
    """The legs of what happened, without the member's accounts.

    A void has none itself: it
    takes back those of what it refers to.
    """
    legs: list[Leg] = []
    if record.kind is Kind.VOID:
        return legs
    total = 0
    for tender in record.tenders:
        total += tender.amount
        if tender.method != STORED_VALUE:
            legs.append(
                Leg(accounts.cash(tender.method, books.site), books.currency, tender.amount)
            )
    if record.kind is Kind.SALE:
        legs.append(Leg(accounts.sales(books.site), books.currency, min(gap, 0) - total))
        if gap:
            legs.append(Leg(accounts.price_variance(books.site), books.currency, abs(gap)))
    if record.earned:
        legs.append(Leg(accounts.POINTS_GRANTED, accounts.POINTS, record.earned))
    if record.spent:
        legs.append(Leg(accounts.POINTS_REDEEMED, accounts.POINTS, -record.spent))
    return legs


def reversed_legs(legs: Iterable[Leg]) -> list[Leg]:
    """The legs that take ``legs`` back."""
    return [Leg(account, unit, -amount) for account, unit, amount in legs]


def member_legs(member: str, before: State, after: State, currency: str) -> list[Leg]:
    """The legs by which a member's accounts go from one fold to another."""
    names = accounts.member_accounts(member)
    return [
        Leg(names.principal, currency, before.principal - after.principal),
        Leg(names.overdraft, currency, after.overdraft - before.overdraft),
        Leg(names.points, accounts.POINTS, before.points - after.points),
        Leg(names.points_debt, accounts.POINTS, after.points_debt - before.points_debt),
    ]


def joined(legs: Iterable[Leg]) -> list[Leg]:
    """One leg for each account, without those that move nothing."""
    sums: dict[tuple[str, str], int] = {}
    for account, unit, amount in legs:
        if amount:
            key = account, unit
            sums[key] = sums.get(key, 0) + amount
    return [Leg(*key, amount) for key, amount in sums.items() if amount]


def is_balanced(legs: Iterable[Leg]) -> bool:
    """Whether the legs sum to zero for each unit."""
    money = points = 0
    for _, unit, amount in legs:
        if unit is accounts.POINTS:
            points += amount
        else:
            money += amount
    return not money and not points
