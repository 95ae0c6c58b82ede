"""What anybody needs to check one record: bytes, links, key, entries, audit; and what is apart."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, select

from cloud.errors import UnknownRecord
from cloud.ledger.posting import given_back
from cloud.storage.rows import EntryRow, QuarantineRow, place_of
from cloud.storage.schema import entries, epochs, quarantine, records, terminals
from protocol.errors import ProtocolError
from protocol.record import Record, read, record_hash
from protocol.signing import Purpose, split, verifier, verify

# One page.
PAGE = 100
_APART = [quarantine.c[name] for name in QuarantineRow._fields]


class Proof(NamedTuple):
    """One record with all that it rests on; ``record`` is None when its bytes cannot be read.

    ``before`` is the hash of the record before it (of the grant, for the first), ``linked``
    whether the record names it, ``signed`` whether the terminal's key signed these very bytes.
    ``upto_seq`` is how far the epoch is in the ledger: what the terminal's watermark says.
    ``apart`` is there while the record is kept apart, and stays when somebody took it.
    """

    terminal: str
    site: str
    epoch: int
    seq: int
    data: bytes
    hash: bytes
    before: bytes
    record: Record | None
    linked: bool
    signed: bool
    algorithm: int
    public_key: bytes
    state: str
    apart: QuarantineRow | None
    audit: str
    gap: int
    member: str | None
    received_ms: int
    upto_seq: int
    entries: tuple[EntryRow, ...]

    @property
    def reason(self) -> str:
        """Why the record is kept apart; empty when it is not, or not any more."""
        return self.apart.reason if self.apart and not self.apart.settled_ms else ""

    @property
    def given_back(self) -> int:
        """What the member has back of a price that was too high, in minor units."""
        return 0 if self.record is None or self.gap <= 0 else given_back(self.record, self.gap)


def proof(connection: Connection, terminal: str, epoch: int, seq: int) -> Proof:
    """Everything about one record; UnknownRecord when the ledger has not got it."""
    chain = connection.execute(
        select(epochs, terminals.c.site)
        .join(terminals)
        .where(epochs.c.terminal == terminal, epochs.c.epoch == epoch)
    ).one_or_none()
    if chain is None or not 0 < seq <= chain.upto_seq:
        raise UnknownRecord(f"{terminal[:40]} {epoch}/{seq}")
    place = place_of(chain.chain, seq)
    row = connection.execute(select(records).where(records.c.place == place)).one()
    before = _hash_before(connection, chain.chain, seq, chain.grant_data)
    found = _read(row.data)
    return Proof(
        *(terminal, chain.site, epoch, seq, row.data, row.hash, before, found),
        linked=found is not None and found.prev == before,
        signed=_is_signed(row.data, chain.algorithm, chain.public_key),
        algorithm=chain.algorithm,
        public_key=chain.public_key,
        state=row.state,
        apart=_apart(connection, terminal, epoch, seq, row.hash),
        audit=row.audit,
        gap=row.gap,
        member=row.member,
        received_ms=row.received_ms,
        upto_seq=chain.upto_seq,
        entries=_entries(connection, place),
    )


def quarantined(connection: Connection, limit: int = PAGE) -> list[QuarantineRow]:
    """What the ledger keeps apart or kept apart until somebody took it, newest first."""
    rows = connection.execute(select(*_APART).order_by(quarantine.c.id.desc()).limit(limit))
    return [QuarantineRow(*row) for row in rows]


def _hash_before(connection: Connection, chain: int, seq: int, grant_data: bytes) -> bytes:
    if seq == 1:
        return record_hash(grant_data)
    place = place_of(chain, seq - 1)
    found = connection.execute(select(records.c.hash).where(records.c.place == place))
    return bytes(found.scalar_one())


def _read(data: bytes) -> Record | None:
    try:
        return read(data)[0].record
    except ProtocolError:
        return None


def _is_signed(data: bytes, algorithm: int, public_key: bytes) -> bool:
    try:
        verify(split(data), Purpose.RECORD, verifier(algorithm, public_key))
    except ProtocolError:
        return False
    return True


def _apart(
    connection: Connection, terminal: str, epoch: int, seq: int, digest: bytes
) -> QuarantineRow | None:
    row = connection.execute(
        select(*_APART).where(
            *(quarantine.c.terminal == terminal, quarantine.c.epoch == epoch),
            *(quarantine.c.seq == seq, quarantine.c.hash == digest),
        )
    ).one_or_none()
    return None if row is None else QuarantineRow(*row)


def _entries(connection: Connection, place: int) -> tuple[EntryRow, ...]:
    rows = connection.execute(
        select(entries).where(entries.c.place == place).order_by(entries.c.line)
    )
    return tuple(EntryRow(*row) for row in rows)
