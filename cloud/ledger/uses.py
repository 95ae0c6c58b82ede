"""What a card can say once: two records that carry it are of a copied card, code or message. Pure.

Records come in any order, so that a counter below the highest one proves nothing; the same one
twice does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256

from protocol.qr_credential import code_in
from protocol.record import Card, CardClass, Kind, Record

# How such a record is flagged; it is booked all the same: the goods are gone.
CARD_REPEATS = "card_repeats"
_USE_BYTES = 16


def use_of(record: Record) -> bytes | None:
    """Name what the card of ``record`` said once; None where a card may say the same again.

    A void names the card of what it takes back, and proves nothing of its own.
    """
    card = record.card
    if card is None:
        return None
    once = _ONCE.get(card.family)
    if once is None or record.kind is Kind.VOID:
        return None
    said = once(card)
    return None if said is None else sha256(card.reference + said).digest()[:_USE_BYTES]


def uses_of(records: Iterable[tuple[bytes, Record | None]]) -> dict[bytes, bytes]:
    """Each record's hash -> what its card said once, for those where there is something."""
    return {
        digest: use
        for digest, record in records
        if record is not None and (use := use_of(record)) is not None
    }


def _code(card: Card) -> bytes | None:
    """A phone draws a new nonce for each tap; its signature can be written in two ways."""
    return code_in(card.proof)


def _message(card: Card) -> bytes | None:
    """Each read of a tag's own message raises its counter; an authentication does not."""
    return _counter(card) if card.assurance is CardClass.UID else None


def _debit(card: Card) -> bytes | None:
    """Each debit raises a purse's counter, and one that was issued again begins anew."""
    return None if card.balance_after is None else _counter(card)


def _counter(card: Card) -> bytes | None:
    return None if card.counter is None else card.counter.to_bytes(8, "big")


_ONCE: Mapping[str, Callable[[Card], bytes | None]] = {
    "qr_credential": _code,
    "ntag424": _message,
    "desfire": _debit,
    "pboc_purse": _debit,
}
