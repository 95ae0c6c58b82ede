"""Names and units of the accounts. Assets are positive; liabilities and revenue are negative."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

# Unit of points accounts; money accounts carry the ISO 4217 code of their bundle.
POINTS = "PT"
POINTS_GRANTED = "points_granted"  # what members were given, ever: counterpart of points
POINTS_REDEEMED = "points_redeemed"  # what members gave back, ever

# Names are made once for each member or site; a chain's daily members fit.
_NAMES_KEPT = 1 << 16


class MemberAccounts(NamedTuple):
    """The accounts of one member."""

    principal: str  # liability: prepaid money that is left
    overdraft: str  # asset: money that the member owes
    points: str  # liability, in points
    points_debt: str  # asset, in points


@lru_cache(maxsize=_NAMES_KEPT)
def member_accounts(member: str) -> MemberAccounts:
    """The account names of ``member``."""
    return MemberAccounts(
        f"principal:{member}", f"overdraft:{member}", f"points:{member}", f"points_debt:{member}"
    )


@lru_cache(maxsize=_NAMES_KEPT)
def cash(method: str, site: str) -> str:
    """Asset: what was taken at a site by one method of payment."""
    return f"cash:{method}:{site}"


@lru_cache(maxsize=_NAMES_KEPT)
def sales(site: str) -> str:
    """Revenue of a site."""
    return f"sales:{site}"


@lru_cache(maxsize=_NAMES_KEPT)
def price_variance(site: str) -> str:
    """Expense: what a member was not charged because terminal and bundle disagreed."""
    return f"price_variance:{site}"
