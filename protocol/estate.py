"""The estate's key: from it comes every key of every card and of every site.

It lives with the provisioning station and, where cards prove themselves to the cloud, with that;
neither drivers nor the terminal can import it, and terminals get a SiteKey alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hmac import digest

from protocol.card_keys import (
    AES_128_BYTES,
    ChangeKey,
    CreditKey,
    SiteKey,
    TransactionKey,
    diversify,
)

ESTATE_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class EstateKey:
    """Masters by purpose are HMAC-SHA256 of a label, so that none tells anything of another.

    ``card_input`` is that of protocol.card_keys; a card's key is diversified from its master.
    """

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != ESTATE_KEY_BYTES:
            raise ValueError(f"an estate key has {ESTATE_KEY_BYTES} bytes")

    def site_key(self, site: str, slot: int = 0) -> SiteKey:
        """Return what the terminals of ``site`` are given."""
        return SiteKey(site, self._master(b"site/" + site.encode()), slot)

    def credit_key(self, card_input: bytes) -> CreditKey:
        """Return the key that puts value on one card."""
        return CreditKey(diversify(self._master(b"credit"), card_input))

    def change_key(self, card_input: bytes) -> ChangeKey:
        """Return the key that changes one card's keys and files."""
        return ChangeKey(diversify(self._master(b"change"), card_input))

    def transaction_key(self, card_input: bytes) -> TransactionKey:
        """Return the key under which one card proves its transactions."""
        return TransactionKey(diversify(self._master(b"transaction"), card_input))

    def _master(self, purpose: bytes) -> bytes:
        return digest(self.secret, b"tapledger/card-key/" + purpose, "sha256")[:AES_128_BYTES]
