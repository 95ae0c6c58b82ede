"""Offline limits: what one card may spend at one terminal since the terminal was last online."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from protocol.record import Amount, Count


class OfflineLimits(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Per card and terminal since last online: purchases, and minor units of stored value."""

    count_max: Count = 10
    amount_max: Amount = 20_000


class OfflineUse(NamedTuple):
    """What one card has spent at this terminal since the terminal was last online."""

    purchases: int
    amount: int


def left_after(limits: OfflineLimits, use: OfflineUse, amount: int) -> tuple[int, int] | None:
    """Purchases and minor units left after one more of ``amount``; None when it passes a limit."""
    count_left = limits.count_max - use.purchases - 1
    amount_left = limits.amount_max - use.amount - amount
    if count_left < 0 or amount_left < 0:
        return None
    return count_left, amount_left
