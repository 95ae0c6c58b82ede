"""Checks, with the estate's key, what cards proved of the debits of their purses; verify reads.

Neither a terminal nor the ledger can make such a proof, so that a debit with one did happen, for
this amount, at this terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum

from sqlalchemy import Connection, select

from cloud.storage.schema import cards
from protocol import desfire_purse, pboc_purse
from protocol.desfire_purse import Debit
from protocol.estate import EstateKey
from protocol.membership.event import (
    CARD_IN_DOUBT,
    CARD_NOT_DEBITED,
    CARD_PURSE,
    CARD_TORN,
)
from protocol.record import Card, Record
from protocol.transaction_mac import COUNTER_BYTES, reader_id

CARD_PROOF = "card_proof"
# Why a terminal says something of an earlier debit; it may read more of the card for that.
_SETTLES = frozenset((CARD_TORN, CARD_NOT_DEBITED, CARD_IN_DOUBT))


class Proof(Enum):
    """What is known of one debit."""

    RIGHT = "right"
    WRONG = "wrong"
    # Torn, of a card without number here, or in one session with the look at an earlier debit.
    UNPROVED = "unproved"


class CardProofs:
    """Judges the records of one consistent view, each terminal's in their order."""

    def __init__(self, connection: Connection, estate: EstateKey) -> None:
        self._estate = estate
        known = select(cards.c.reference, cards.c.number).where(cards.c.number.is_not(None))
        rows = connection.execute(known)
        self._numbers: Mapping[bytes, bytes] = {row[0]: row[1] for row in rows}
        self._reasons: dict[tuple[str, bytes], str] = {}  # of the last record of terminal and card
        self._used: set[tuple[bytes, bytes]] = set()  # card and proof

    def judge(self, record: Record) -> Proof | None:
        """None unless ``record`` says that a card's purse paid."""
        card = record.card
        if card is None:
            return None
        name = record.terminal, card.reference
        before, self._reasons[name] = self._reasons.get(name, ""), record.reason
        amount = record.paid_by(CARD_PURSE)
        if card.balance_after is None or not amount:
            return None
        if card.balance_before is None or card.balance_before - amount != card.balance_after:
            return Proof.WRONG
        found = self._holds(record, card, amount)
        if found is None or (not found and before in _SETTLES):
            return Proof.UNPROVED
        return Proof.RIGHT if found else Proof.WRONG

    def _holds(self, record: Record, card: Card, amount: int) -> bool | None:
        """Whether the card made the proof for this; None when nobody can tell."""
        check, number = _CHECKS.get(card.family), self._numbers.get(card.reference)
        if check is None or number is None or not card.proof:
            return None
        proof = card.reference, card.proof
        if proof in self._used:  # a TAC says nothing of the record that it stands in
            return False
        self._used.add(proof)
        return check(self._estate, number, record, card, amount)


def _desfire(estate: EstateKey, uid: bytes, record: Record, card: Card, amount: int) -> bool | None:
    if int.from_bytes(card.proof[:COUNTER_BYTES], "little") != card.counter:
        return False
    made = desfire_purse.Record(record.tid, reader_id(record.terminal))
    key = estate.transaction_key(desfire_purse.key_input(uid, desfire_purse.TRANSACTION_KEY))
    debit = Debit(made, amount, card.balance_before or 0)
    return desfire_purse.proves_debit(key, uid, debit, card.proof)


def _pboc(estate: EstateKey, number: bytes, record: Record, card: Card, amount: int) -> bool | None:
    found = pboc_purse.purchase_of(card.proof, amount, reader_id(record.terminal))
    if found is None:
        return False
    key = estate.transaction_key(pboc_purse.key_input(number, pboc_purse.TRANSACTION_KEY))
    return pboc_purse.proves_purchase(key, *found)


_CHECKS: Mapping[str, Callable[[EstateKey, bytes, Record, Card, int], bool | None]] = {
    "desfire": _desfire,
    "pboc_purse": _pboc,
}
