"""Names and units of the accounts. Assets are positive; liabilities and revenue are negative."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

# Unit of points accounts; money accounts carry the ISO 4217 code of the tenant's currency.
POINTS = "PT"

# Names are made once for each member or site; a chain's daily members fit.
_NAMES_KEPT = 1 << 16


class Account(NamedTuple):
    """A name, and what is counted on it."""

    name: str
    unit: str


class MemberAccounts(NamedTuple):
    """The accounts of one member."""

    principal: Account  # liability: prepaid money that is left
    overdraft: Account  # asset: money that the member owes
    points: Account  # liability
    points_debt: Account  # asset


POINTS_GRANTED = Account("points_granted", POINTS)  # what members were given, ever
POINTS_REDEEMED = Account("points_redeemed", POINTS)  # what members gave back, ever


@lru_cache(maxsize=_NAMES_KEPT)
def member_accounts(member: str, currency: str) -> MemberAccounts:
    """The accounts of ``member``."""
    return MemberAccounts(
        Account(f"principal:{member}", currency),
        Account(f"overdraft:{member}", currency),
        Account(f"points:{member}", POINTS),
        Account(f"points_debt:{member}", POINTS),
    )


def member_account_names(member: str) -> tuple[str, ...]:
    """The names of the accounts of ``member``, whatever the currency."""
    return tuple(account.name for account in member_accounts(member, ""))


@lru_cache(maxsize=_NAMES_KEPT)
def cash(method: str, site: str, currency: str) -> Account:
    """Asset: what was taken at a site by one method of payment."""
    return Account(f"cash:{method}:{site}", currency)


@lru_cache(maxsize=_NAMES_KEPT)
def purse(reference: bytes, currency: str) -> Account:
    """Asset: what was taken from the purse on a card; whoever loaded it owes it."""
    return Account(f"purse:{reference.hex()}", currency)


@lru_cache(maxsize=_NAMES_KEPT)
def sales(site: str, currency: str) -> Account:
    """Revenue of a site."""
    return Account(f"sales:{site}", currency)


@lru_cache(maxsize=_NAMES_KEPT)
def price_variance(site: str, currency: str) -> Account:
    """Expense: what a member was not charged because terminal and bundle disagreed."""
    return Account(f"price_variance:{site}", currency)
