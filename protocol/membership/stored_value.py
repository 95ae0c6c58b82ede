"""Prepaid money: paid in, drawn, overdrawn by an offline tap, repaid by the next top-up."""

from __future__ import annotations


def paid_in(principal: int, overdraft: int, amount: int) -> tuple[int, int]:
    """Principal and overdraft after a top-up: the overdraft is repaid first."""
    repaid = min(overdraft, amount)
    return principal + amount - repaid, overdraft - repaid


def drawn(principal: int, overdraft: int, amount: int) -> tuple[int, int]:
    """Principal and overdraft after a purchase: the goods are gone, the rest becomes overdraft."""
    covered = min(principal, amount)
    return principal - covered, overdraft + amount - covered
