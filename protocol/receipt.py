"""What stands on a receipt, whatever prints it."""

from __future__ import annotations


def receipt_number(terminal: str, epoch: int, seq: int) -> str:
    """Number without gaps per terminal: its place in the journal is its number."""
    return f"{terminal}-{epoch}-{seq}"
