"""Commands of the PBOC electronic deposit (ED) and purse (EP), and what is put under their MACs.

As public walk-throughs of PBOC 2.0 part 2 state them (JR/T 0025.2): load and purchase are proved by
published values, EXTERNAL AUTHENTICATE by computed ones alone. Units and MACs are those of
protocol.pboc_purse. Commands carry no Le.
"""

from __future__ import annotations

from typing import NamedTuple

from drivers.apdu import SW_OK, CommandApdu
from drivers.errors import CardRefused
from protocol.block_cipher import one_block, triple_des, xor
from protocol.pboc_purse import BLOCK_BYTES, Purse, transaction

CHALLENGE_BYTES_MAX = 8


class LoadOffer(NamedTuple):
    """The card's answer to INITIALIZE FOR LOAD: 16 bytes."""

    balance: int
    online_seq: bytes
    key_version: int
    algorithm: int
    random: bytes
    mac1: bytes

    @classmethod
    def decode(cls, data: bytes) -> LoadOffer:
        """CardRefused when its length is wrong."""
        if len(data) != 16:
            raise CardRefused(SW_OK, "INITIALIZE FOR LOAD: an answer of a wrong length")
        balance = int.from_bytes(data[:4], "big")
        return cls(balance, data[4:6], data[6], data[7], data[8:12], data[12:])

    def encode(self) -> bytes:
        """The answer's data."""
        keys = bytes((self.key_version, self.algorithm))
        return _number(self.balance) + self.online_seq + keys + self.random + self.mac1


class PurchaseOffer(NamedTuple):
    """The card's answer to INITIALIZE FOR PURCHASE: 15 bytes."""

    balance: int
    offline_seq: bytes
    overdraft: int
    key_version: int
    algorithm: int
    random: bytes

    @classmethod
    def decode(cls, data: bytes) -> PurchaseOffer:
        """CardRefused when its length is wrong."""
        if len(data) != 15:
            raise CardRefused(SW_OK, "INITIALIZE FOR PURCHASE: an answer of a wrong length")
        balance, overdraft = int.from_bytes(data[:4], "big"), int.from_bytes(data[6:9], "big")
        return cls(balance, data[4:6], overdraft, data[9], data[10], data[11:])

    def encode(self) -> bytes:
        """The answer's data."""
        keys = self.overdraft.to_bytes(3, "big") + bytes((self.key_version, self.algorithm))
        return _number(self.balance) + self.offline_seq + keys + self.random


def diversify(master: bytes, factor: bytes) -> bytes:
    """Key of the next level down: 3DES of 8 bytes and of their complement (JR/T 0025.2, annex)."""
    if len(factor) != BLOCK_BYTES:
        raise ValueError("a diversification factor has 8 bytes")
    complement = xor(factor, b"\xff" * BLOCK_BYTES)
    return one_block(triple_des(master), factor) + one_block(triple_des(master), complement)


def load_input(offer: LoadOffer) -> bytes:
    """What the session key of a load is made of."""
    return offer.random + offer.online_seq + b"\x80\x00"


def purchase_input(offer: PurchaseOffer, terminal_seq: int) -> bytes:
    """What the session key of a purchase is made of: the low 2 bytes of the terminal's number."""
    return offer.random + offer.offline_seq + _number(terminal_seq)[2:]


def load_mac1_input(balance: int, amount: int, kind: int, terminal: bytes) -> bytes:
    """What the card proves with its offer of a load."""
    return _number(balance) + transaction(amount, kind, terminal, b"")


def purchase_mac2_input(amount: int) -> bytes:
    """What the card proves once it has debited."""
    return _number(amount)


def load_tac_input(balance: int, online_seq: bytes, details: bytes) -> bytes:
    """TAC of a load: the new balance, the number of the load, and its ``transaction``."""
    return _number(balance) + online_seq + details


def initialize_load(purse: Purse, key_index: int, amount: int, terminal: bytes) -> CommandApdu:
    """INITIALIZE FOR LOAD."""
    data = bytes((key_index,)) + _number(amount) + terminal
    return CommandApdu(0x80, 0x50, 0x00, purse, data)


def credit(moment: bytes, mac2: bytes) -> CommandApdu:
    """CREDIT FOR LOAD; the card answers with the TAC."""
    return CommandApdu(0x80, 0x52, 0x00, 0x00, moment + mac2)


def initialize_purchase(purse: Purse, key_index: int, amount: int, terminal: bytes) -> CommandApdu:
    """INITIALIZE FOR PURCHASE."""
    data = bytes((key_index,)) + _number(amount) + terminal
    return CommandApdu(0x80, 0x50, 0x01, purse, data)


def debit(terminal_seq: int, moment: bytes, mac1: bytes) -> CommandApdu:
    """DEBIT FOR PURCHASE; the card answers with TAC and MAC2."""
    return CommandApdu(0x80, 0x54, 0x01, 0x00, _number(terminal_seq) + moment + mac1)


def authentication_block(challenge: bytes) -> bytes:
    """What EXTERNAL AUTHENTICATE enciphers: the challenge and zeros to 8 bytes."""
    if len(challenge) > CHALLENGE_BYTES_MAX:
        raise ValueError("a challenge has at most 8 bytes")
    return challenge.ljust(CHALLENGE_BYTES_MAX, b"\x00")


def get_challenge(size: int) -> CommandApdu:
    """GET CHALLENGE for 4 or 8 bytes."""
    return CommandApdu(0x00, 0x84, 0x00, 0x00, ne=size)


def external_authenticate(key: bytes, challenge: bytes, key_id: int = 0) -> CommandApdu:
    """EXTERNAL AUTHENTICATE of the terminal with key ``key_id``."""
    proof = one_block(triple_des(key), authentication_block(challenge))
    return CommandApdu(0x00, 0x82, 0x00, key_id, proof)


def _number(value: int) -> bytes:
    return value.to_bytes(4, "big")
