"""A purse on a card as a terminal uses it: intent, debit, and what became of it.

The intent is on the terminal's disk before ``debit`` is begun; keeping it is left to the terminal.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from drivers.apdu import Steps


class Fate(Enum):
    """What became of an intent."""

    MOVED = "moved"
    NOT_MOVED = "not_moved"
    UNKNOWN = "unknown"  # too many others since: the cloud knows from their counters


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """A debit that is wanted: ``amount`` minor units, at ``wall_ms`` (UTC, ms since 1970).

    ``tid`` (16 bytes) is its own, ``reader_id`` (16) the terminal's; ``number`` tells the
    terminal's debits apart.
    """

    tid: bytes
    reader_id: bytes
    amount: int
    number: int
    wall_ms: int


@dataclass(frozen=True, slots=True)
class Debited:
    """The debit happened. ``proof`` is the card's, in its family's layout; empty when it is lost.

    ``counter`` is the card's number of the debit, ``balance_after`` minor units.
    """

    counter: int
    balance_after: int
    proof: bytes


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of an earlier intent; ``debited`` is there when it MOVED."""

    fate: Fate
    debited: Debited | None = None


class CardPurse(Protocol):
    """An open purse of the card in front of the reader. An intent is bytes of the family's own.

    Each method returns a dialogue; a DriverError out of ``debit`` leaves open what happened.
    """

    def prepare(self, charge: Charge) -> Steps[bytes]:
        """Return the intent to be written down; nothing on the card changes.

        ValueError for an amount that the purse does not hold.
        """

    def debit(self, intent: bytes) -> Steps[Debited]:
        """Take the money, right after ``prepare``."""

    def fate(self, intent: bytes) -> Steps[Settled]:
        """Look what became of an earlier intent with this card; changes nothing."""
