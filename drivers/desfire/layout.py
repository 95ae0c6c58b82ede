"""Our application on a DESFire: which key and which file is where, and what a record says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from drivers.desfire.settings import (
    ApplicationSettings,
    FileSettings,
    RecordFile,
    Rights,
    TransactionMacFile,
    ValueFile,
)
from drivers.secure_channel.channel import CommunicationMode
from protocol.card_keys import SITE_SLOTS, card_input
from protocol.transaction_mac import READER_ID_BYTES

APPLICATION = bytes.fromhex("014CF5")  # F54C01, as on the wire

CHANGE_KEY, CREDIT_KEY, SITE_KEYS = 0, 1, 2  # the last: the first of SITE_SLOTS
TRANSACTION_FILE, PURSE_FILE, RECORD_FILE = 0, 1, 2
# Key 0 may change; settings may change; everything else needs key 0, which also changes the others.
KEY_SETTINGS = 0x09
# The running keys, and the next ones for when a site's key is lost.
KEY_SETS = 2
# 20,000.00 in any currency of two decimals: more has no business on a card.
PURSE_LIMIT = 2_000_000

TID_BYTES = 16
RECORD_BYTES = TID_BYTES + READER_ID_BYTES
# A cyclic file keeps one less. After a torn change so many may follow elsewhere, less one, before
# the card cannot tell any more what became of it.
RECORDS_KEPT = 5

APPLICATION_SETTINGS = ApplicationSettings(
    SITE_KEYS + SITE_SLOTS, KEY_SETTINGS, KEY_SETS, CHANGE_KEY
)


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


def key_input(uid: bytes, number: int) -> bytes:
    """What a card's key of our application is diversified from."""
    return card_input(uid, APPLICATION, number)


def files(slots: Iterable[int]) -> dict[int, FileSettings]:
    """File number -> settings on a card of the sites in ``slots`` (at least one).

    A site reads, debits and records; the credit key does that and credits; key 0 changes.
    """
    keys = [SITE_KEYS + slot for slot in sorted(slots)]
    purse = [Rights(read=key) for key in keys]
    records = [Rights(read=key, write=key) for key in keys]
    transactions = [Rights(read=key, both=key) for key in (*keys, CREDIT_KEY)]
    purse[0] = Rights(read=keys[0], both=CREDIT_KEY, change=CHANGE_KEY)
    records[0] = Rights(read=keys[0], write=keys[0], both=CREDIT_KEY, change=CHANGE_KEY)
    transactions[0] = Rights(read=keys[0], both=keys[0], change=CHANGE_KEY)
    mode = CommunicationMode.MAC
    record_file = RecordFile(RECORD_BYTES, RECORDS_KEPT + 1)
    return {
        PURSE_FILE: FileSettings(mode, tuple(purse), ValueFile(0, PURSE_LIMIT)),
        RECORD_FILE: FileSettings(mode, tuple(records), record_file),
        TRANSACTION_FILE: FileSettings(mode, tuple(transactions), TransactionMacFile(1)),
    }
