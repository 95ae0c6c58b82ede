"""Rows that the ledger's pure core and the database exchange, as plain values."""

from __future__ import annotations

from typing import NamedTuple

from protocol.chain import Head
from protocol.watermark import Standing

# A record's place is chain * 2**40 + seq: 2**23 chains, a trillion records in each.
SEQ_BITS = 40
SEQ_MAX = (1 << SEQ_BITS) - 1


class Chain(NamedTuple):
    """A terminal's records of one epoch: its key, and up to where the ledger has them.

    ``closed_ms`` is when the terminal was revoked or its next epoch granted, 0 = open. Then
    ``closed_seq`` is the newest record that the ledger had, or SEQ_MAX where the key is trusted.
    """

    chain: int
    terminal: str
    site: str
    epoch: int
    algorithm: int
    public_key: bytes
    head: Head
    quarantined: int
    standing: Standing
    newest_epoch: int
    closed_ms: int = 0
    closed_seq: int = 0


class RecordRow(NamedTuple):
    """One record of a chain, in the order of the table's columns."""

    place: int
    tid: bytes
    hash: bytes
    data: bytes
    kind: int
    state: str
    audit: str
    gap: int
    member: str | None
    occurred_ms: int
    received_ms: int


class EntryRow(NamedTuple):
    """One leg of a record's posting."""

    place: int
    line: int
    account: str
    unit: str
    amount: int


# An EntryRow in the making: there are four for each record.
Entry = tuple[int, int, str, str, int]


class QuarantineRow(NamedTuple):
    """Signed bytes that are kept apart, until somebody took them: when, who, and why."""

    terminal: str
    epoch: int
    seq: int
    hash: bytes
    data: bytes
    reason: str
    received_ms: int
    settled_ms: int = 0
    settled_by: str = ""
    note: str = ""


class Settlement(NamedTuple):
    """Who took a record that was kept apart, when and why; in the order of QuarantineRow."""

    settled_ms: int
    settled_by: str
    note: str


class Stored(NamedTuple):
    """A posted record as the fold needs it again."""

    data: bytes
    gap: int
    site: str


POSTED, NOTED, QUARANTINED = "posted", "noted", "quarantined"
# Why a record is kept apart of which the ledger has another version.
FORK = "fork"


def place_of(chain: int, seq: int) -> int:
    """Primary key of a record: records of one chain lie together, in order."""
    return chain << SEQ_BITS | seq


def seq_of(place: int) -> int:
    """The ``seq`` in a place."""
    return place & SEQ_MAX
