"""Points: earned, redeemed, and owed when a redemption finds too few."""

from __future__ import annotations


def earned(points: int, debt: int, amount: int) -> tuple[int, int]:
    """Points and points debt after earning: the debt is paid first."""
    paid = min(debt, amount)
    return points + amount - paid, debt - paid


def taken(points: int, debt: int, amount: int) -> tuple[int, int]:
    """Points and points debt after a redemption or claw-back."""
    held = min(points, amount)
    return points - held, debt + amount - held
