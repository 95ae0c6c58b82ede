"""Our application on a DESFire: which key is where, and who may do what with its files."""

from __future__ import annotations

from collections.abc import Iterable

from drivers.desfire.settings import (
    ApplicationSettings,
    FileSettings,
    RecordFile,
    Rights,
    TransactionMacFile,
    ValueFile,
)
from drivers.secure_channel.channel import CommunicationMode
from protocol.card_keys import SITE_SLOTS
from protocol.desfire_purse import PURSE_FILE, RECORD_BYTES, RECORD_FILE, TRANSACTION_FILE

CHANGE_KEY, CREDIT_KEY, SITE_KEYS = 0, 1, 2  # the last: the first of SITE_SLOTS
# Key 0 may change; settings may change; everything else needs key 0, which also changes the others.
KEY_SETTINGS = 0x09
# The running keys, and the next ones for when a site's key is lost.
KEY_SETS = 2
# 20,000.00 in any currency of two decimals: more has no business on a card.
PURSE_LIMIT = 2_000_000

# A cyclic file keeps one less. After a torn change so many may follow elsewhere, less one, before
# the card cannot tell any more what became of it.
RECORDS_KEPT = 5

APPLICATION_SETTINGS = ApplicationSettings(
    SITE_KEYS + SITE_SLOTS, KEY_SETTINGS, KEY_SETS, CHANGE_KEY
)


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
