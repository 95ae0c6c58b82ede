"""Integer arithmetic of money and points, with every rounding named. Amounts are minor units."""

from __future__ import annotations

from protocol.errors import BadAmount

# One transaction holds at most 10 million yuan; sums of 2**31 of them still fit in 63 bits.
AMOUNT_MAX = 1_000_000_000
# One line holds at most ten thousand pieces.
QUANTITY_MAX = 10_000
# Basis points of one whole.
WHOLE_BP = 10_000


def floor_share(amount: int, numerator: int, denominator: int) -> int:
    """``amount * numerator / denominator`` rounded down; arguments are not negative."""
    return amount * numerator // denominator


def checked_amount(amount: int) -> int:
    """Return ``amount`` when one transaction may hold it, else BadAmount."""
    if not 0 <= amount <= AMOUNT_MAX:
        raise BadAmount(f"{amount} minor units, allowed are 0 to {AMOUNT_MAX}")
    return amount


def checked_quantity(quantity: int) -> int:
    """Return ``quantity`` when one line may hold it, else BadAmount."""
    if not 1 <= quantity <= QUANTITY_MAX:
        raise BadAmount(f"{quantity} pieces, allowed are 1 to {QUANTITY_MAX}")
    return quantity
