"""MACs and TAC of the PBOC electronic deposit (ED) and purse (EP), and what a TAC proves.

As public walk-throughs of PBOC 2.0 part 2 state them (JR/T 0025.2): MACs are proved by published
values, the TAC by computed ones alone. Amounts are minor units, terminals 6 bytes, moments 7 bytes
of packed digits (YYYYMMDDhhmmss).
"""

from __future__ import annotations

from enum import IntEnum
from hmac import compare_digest
from typing import NamedTuple

from protocol.block_cipher import cbc_encrypt, one_block, pad, triple_des, xor
from protocol.card_keys import TransactionKey, card_input

BLOCK_BYTES = 8
MAC_BYTES = 4
TERMINAL_BYTES = 6
MOMENT_BYTES = 7
# Number of the key under which a card proves what it paid, in the input of AN10922.
TRANSACTION_KEY = 0x31

_KEY_INPUT_LABEL = b"TLP"
_NUMBER_BYTES = 4
_PURCHASE = 4  # transaction types: load 01/02, purchase 05/06, for deposit/purse


class Purse(IntEnum):
    """Which of the two applications of one card; also P2 of INITIALIZE."""

    DEPOSIT = 1
    PURSE = 2

    @property
    def load_type(self) -> int:
        """Transaction type of a load."""
        return self.value

    @property
    def purchase_type(self) -> int:
        """Transaction type of a purchase."""
        return self.value + _PURCHASE


class PurchaseClaim(NamedTuple):
    """What a terminal says that a card paid; the TAC is over all of it."""

    purse: Purse
    amount: int
    terminal: bytes
    terminal_seq: int
    moment: bytes


def key_input(number: bytes, slot: int) -> bytes:
    """AN10922 input of one key of one card; ``number`` has 10 bytes."""
    return card_input(number, _KEY_INPUT_LABEL, slot)


def session_key(key: bytes, text: bytes) -> bytes:
    """8-byte key of one transaction from the 8 bytes that name it."""
    return one_block(triple_des(key), text)


def mac(key: bytes, text: bytes) -> bytes:
    """DES-CBC MAC with an 8-byte key, padding 80, left 4 bytes."""
    padded = pad(text, BLOCK_BYTES)
    return cbc_encrypt(triple_des(key), bytes(BLOCK_BYTES), padded)[-BLOCK_BYTES:][:MAC_BYTES]


def tac_key(key: bytes) -> bytes:
    """What a TAC is made with: the two halves of the TAC key XORed."""
    return xor(key[:8], key[8:])


def transaction(amount: int, kind: int, terminal: bytes, tail: bytes) -> bytes:
    """Amount, transaction type and terminal, and what follows.

    MAC2 of a load and MAC1 of a purchase: the moment follows. TAC of a purchase: the terminal's
    transaction number (4 bytes) and the moment.
    """
    return amount.to_bytes(_NUMBER_BYTES, "big") + bytes((kind,)) + terminal + tail


def proves_purchase(key: TransactionKey, claim: PurchaseClaim, tac: bytes) -> bool:
    """Whether ``tac`` is the card's for this purchase."""
    tail = claim.terminal_seq.to_bytes(_NUMBER_BYTES, "big") + claim.moment
    text = transaction(claim.amount, claim.purse.purchase_type, claim.terminal, tail)
    return compare_digest(mac(tac_key(key.secret), text), tac)


def purchase_proof(claim: PurchaseClaim, tac: bytes) -> bytes:
    """What a record carries of a purchase: TAC (4), number (4) and moment (7) of the terminal."""
    return tac + claim.terminal_seq.to_bytes(_NUMBER_BYTES, "big") + claim.moment


def purchase_of(proof: bytes, amount: int, reader_id: bytes) -> tuple[PurchaseClaim, bytes] | None:
    """Return claim and TAC of a record's proof; None when it is not the proof of a purchase."""
    if len(proof) != MAC_BYTES + _NUMBER_BYTES + MOMENT_BYTES:
        return None
    tac, rest = proof[:MAC_BYTES], proof[MAC_BYTES:]
    number, moment = int.from_bytes(rest[:_NUMBER_BYTES], "big"), rest[_NUMBER_BYTES:]
    return PurchaseClaim(Purse.PURSE, amount, reader_id[:TERMINAL_BYTES], number, moment), tac
