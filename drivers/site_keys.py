"""Card keys as types: what a site's terminals hold, and what no terminal can ever come to.

A ``SiteKey`` derives the read keys of its own site and nothing else. CreditKey, ChangeKey and
TransactionKey have no way from it: provisioning makes them from the estate's key, and code here
only receives them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from drivers.keys import AES_128_BYTES, diversify

# Cards hold keys of so many sites (or groups of sites that share one) side by side: DESFire EV2
# gives a file eight sets of access rights, and the credit key needs one of them.
SITE_SLOTS = 7
SYSTEM_ID = b"tapledger"


@dataclass(frozen=True, slots=True)
class _Key:
    """16 secret bytes that never show in a log."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != AES_128_BYTES:
            raise ValueError(f"a card key has {AES_128_BYTES} bytes")


class ReadKey(_Key):
    """One card's key of one site: proves that the card is here, reads it and debits it."""

    __slots__ = ()


class CreditKey(_Key):
    """One card's key that puts value on it."""

    __slots__ = ()


class ChangeKey(_Key):
    """One card's key that changes its keys and files."""

    __slots__ = ()


class TransactionKey(_Key):
    """One card's key under which it proves its transactions to the cloud."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class SiteKey:
    """All that a terminal is ever given. ``slot``: which of SITE_SLOTS places on a card it has."""

    site: str
    secret: bytes = field(repr=False)
    slot: int = 0

    def __post_init__(self) -> None:
        if len(self.secret) != AES_128_BYTES or not 0 <= self.slot < SITE_SLOTS:
            raise ValueError(f"a site key has {AES_128_BYTES} bytes and one of {SITE_SLOTS} slots")

    def read_key(self, card_input: bytes) -> ReadKey:
        """Return this site's key of the card that ``card_input`` names (see there)."""
        return ReadKey(diversify(self.secret, card_input))


def card_input(uid: bytes, application: bytes, slot: int) -> bytes:
    """AN10922 input: UID (7 bytes), application (3), key slot (1) and system id."""
    return uid + application + bytes((slot,)) + SYSTEM_ID
