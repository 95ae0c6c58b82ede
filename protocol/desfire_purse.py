"""Our purse on a DESFire as it is proved: application and files, and what its MAC stands over.

The MAC itself is protocol.transaction_mac's, the commands are the driver's.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.card_keys import TransactionKey, card_input
from protocol.transaction_mac import (
    COUNTER_BYTES,
    READER_ID_BYTES,
    TMV_BYTES,
    data_input,
    reader_input,
    session_keys,
    value_input,
    verify,
)

APPLICATION = bytes.fromhex("014CF5")  # F54C01, as on the wire
TRANSACTION_FILE, PURSE_FILE, RECORD_FILE = 0, 1, 2
# Number of the key under which a card proves its transactions, in the input of AN10922.
TRANSACTION_KEY = 0
TID_BYTES = 16
RECORD_BYTES = TID_BYTES + READER_ID_BYTES

_GET_VALUE, _WRITE_RECORD, _DEBIT = 0x6C, 0x3B, 0xDC
_VALUE_BYTES = 4
_WHOLE = bytes(3) + RECORD_BYTES.to_bytes(3, "little")  # offset and length of a record


@dataclass(frozen=True, slots=True)
class Record:
    """Which change of the purse it was (``tid``, 16 bytes) and who made it (16 bytes)."""

    tid: bytes
    reader_id: bytes

    def encode(self) -> bytes:
        """Return the 32 bytes of the record."""
        return self.tid + self.reader_id

    @classmethod
    def parse(cls, data: bytes) -> Record:
        """Inverse of ``encode``."""
        return cls(data[:TID_BYTES], data[TID_BYTES:RECORD_BYTES])


@dataclass(frozen=True, slots=True)
class Debit:
    """A debit as the cloud knows it: ``amount`` and ``balance`` before it in minor units."""

    record: Record
    amount: int
    balance: int

    def mac_input(self, previous_reader: bytes) -> bytes:
        """What the card's MAC stands over: balance told, record, debit, reader's id.

        ``previous_reader`` is what the card answered to that id. A terminal that read more of the
        card in the same session has another input.
        """
        data, number = self.record.encode(), bytes((RECORD_FILE,))
        return (
            value_input(_GET_VALUE, PURSE_FILE, self.balance.to_bytes(_VALUE_BYTES, "little"))
            + data_input(_WRITE_RECORD, number + _WHOLE, data)
            + value_input(_DEBIT, PURSE_FILE, self.amount.to_bytes(_VALUE_BYTES, "little"))
            + reader_input(self.record.reader_id, previous_reader)
        )


def key_input(uid: bytes, number: int) -> bytes:
    """What a card's key of our application is diversified from."""
    return card_input(uid, APPLICATION, number)


def proves_debit(key: TransactionKey, uid: bytes, debit: Debit, proof: bytes) -> bool | None:
    """Whether ``proof`` is the card's: counter (4), MAC (8), enciphered id of the reader before.

    None for one without that id, as after a tear: nobody can tell.
    """
    counter, mac = proof[:COUNTER_BYTES], proof[COUNTER_BYTES:][:TMV_BYTES]
    previous = proof[COUNTER_BYTES + TMV_BYTES :]
    if len(previous) != READER_ID_BYTES:
        return None
    keys = session_keys(key.secret, int.from_bytes(counter, "little"), uid)
    return verify(keys, debit.mac_input(previous), mac)
