"""JSON documents of records: the decoded record, its proof, and what is kept apart."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Any

import msgspec
from pydantic import Field, StringConstraints

from cloud.http.document import Body, Document, Since
from cloud.ledger.proof import Proof
from cloud.ledger.search import Found
from cloud.storage.rows import QuarantineRow
from protocol.signing import key_id

# A sentence or two.
NOTE_MAX = 400
Note = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=NOTE_MAX)]
_Hash = Annotated[str, Field(description="SHA-256, hex.")]


class RecordLine(Document):
    """A record in a listing."""

    terminal: str
    site: str
    epoch: int
    seq: int
    kind: Annotated[str, Field(description="Empty when its bytes cannot be read.")]
    state: Annotated[str, Field(description="posted, noted or quarantined.")]
    audit: Annotated[str, Field(description="Empty: as the bundle says; else how it differs.")]
    member: str | None
    occurred_ms: Since
    received_ms: Since


class Records(Document):
    """Records that fit, newest first."""

    records: list[RecordLine]


class EntryDocument(Document):
    """One leg of a posting: assets +, liabilities and revenue -."""

    account: str
    unit: str
    amount: int


class RecordDocument(Document):
    """A record with all that is needed to check it without us.

    `sha256(data) == hash`; `record.prev == previous_hash`; the COSE_Sign1 in `data` verifies with
    `public_key`; for each unit the amounts of `entries` add up to 0.
    """

    terminal: str
    site: str
    epoch: int
    seq: int
    data: Annotated[str, Field(description="The signed bytes (COSE_Sign1), hex.")]
    hash: Annotated[str, Field(description="SHA-256 of data, hex.")]
    previous_hash: Annotated[
        str, Field(description="SHA-256 of the record before (of the grant for seq 1), hex.")
    ]
    linked: Annotated[bool, Field(description="Whether the record names previous_hash.")]
    signed: Annotated[bool, Field(description="Whether the terminal's key signed data.")]
    algorithm: Annotated[int, Field(description="COSE algorithm of the key.")]
    public_key: Annotated[str, Field(description="The terminal's key in this epoch, hex.")]
    key_id: str
    watermark_upto_seq: Annotated[
        int, Field(description="The epoch's watermark covers records up to here.")
    ]
    record: Annotated[
        dict[str, Any] | None, Field(description="Decoded; null when it cannot be read.")
    ]
    state: str
    reason: Annotated[str, Field(description="Why it is quarantined; else empty.")]
    audit: str
    gap: Annotated[int, Field(description="Charged minus what the bundle says, minor units.")]
    member: str | None
    received_ms: Since
    entries: list[EntryDocument]


class QuarantineLine(Document):
    """Signed bytes that the ledger keeps apart."""

    terminal: str
    epoch: int
    seq: int
    hash: _Hash
    data: Annotated[str, Field(description="Hex.")]
    reason: str
    received_ms: Since
    settled_ms: Annotated[Since, Field(description="When somebody took it; 0 = is kept apart.")]
    settled_by: Annotated[str, Field(description="Who took it.")]
    note: Annotated[str, Field(description="Why.")]


class TakeRecord(Body):
    """Why a record that is kept apart is booked."""

    note: Note


class Quarantine(Document):
    """What is kept apart, or was until somebody took it, newest first."""

    quarantine: list[QuarantineLine]


def decoded(record: msgspec.Struct) -> dict[str, Any]:
    """A record, or a part of one, as JSON: bytes in hex, numbers that are names by name."""
    return {name: _plain(each) for name, each in msgspec.structs.asdict(record).items()}


def _plain(value: object) -> Any:
    if isinstance(value, msgspec.Struct):
        return decoded(value)
    if isinstance(value, IntEnum):
        return value.name.lower()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value


def record_line(found: Found) -> RecordLine:
    """Return ``found`` as a listing shows it."""
    shown = found._asdict()
    del shown["data"]
    return RecordLine(**shown | {"kind": found.word})


def record_document(proof: Proof) -> RecordDocument:
    """Return ``proof`` as the API shows it."""
    return RecordDocument(
        terminal=proof.terminal,
        site=proof.site,
        epoch=proof.epoch,
        seq=proof.seq,
        data=proof.data.hex(),
        hash=proof.hash.hex(),
        previous_hash=proof.before.hex(),
        linked=proof.linked,
        signed=proof.signed,
        algorithm=proof.algorithm,
        public_key=proof.public_key.hex(),
        key_id=key_id(proof.public_key).hex(),
        watermark_upto_seq=proof.upto_seq,
        record=None if proof.record is None else decoded(proof.record),
        state=proof.state,
        reason=proof.reason,
        audit=proof.audit,
        gap=proof.gap,
        member=proof.member,
        received_ms=proof.received_ms,
        entries=[
            EntryDocument(account=entry.account, unit=entry.unit, amount=entry.amount)
            for entry in proof.entries
        ],
    )


def quarantine_line(row: QuarantineRow) -> QuarantineLine:
    """Return ``row`` as the API shows it."""
    return QuarantineLine(**row._asdict() | {"hash": row.hash.hex(), "data": row.data.hex()})
