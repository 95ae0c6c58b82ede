"""Finds records: by terminal, member, kind, transaction or receipt, newest first."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, select

from cloud.storage.rows import SEQ_BITS, seq_of
from cloud.storage.schema import epochs, records, terminals
from protocol.record import Kind, read

# One page.
PAGE = 50
# protocol.receipt writes it: terminal-epoch-seq.
_RECEIPT = re.compile(r"([a-z0-9-]{1,40})-([0-9]{1,9})-([0-9]{1,12})")
_TID = re.compile(r"[0-9a-f]{32}")


class Query(NamedTuple):
    """What to look for; empty fields do not narrow. ``text`` is a receipt number or transaction."""

    terminal: str = ""
    member: str = ""
    kind: Kind | None = None
    text: str = ""


class Found(NamedTuple):
    """A record in a listing; ``kind`` is None when its bytes cannot be read."""

    terminal: str
    site: str
    epoch: int
    seq: int
    kind: Kind | None
    state: str
    audit: str
    member: str | None
    occurred_ms: int
    received_ms: int
    data: bytes

    @property
    def word(self) -> str:
        """The kind as a code; empty when the bytes cannot be read."""
        return self.kind.name.lower() if self.kind else ""

    @property
    def reason(self) -> str:
        """Why it was declined, or which command of an operator it is, as a code; often empty."""
        return read(self.data)[0].record.reason if self.kind else ""


def find(connection: Connection, query: Query, limit: int = PAGE) -> list[Found]:
    """Up to ``limit`` records that fit, newest first.

    Text that is neither a receipt number nor a transaction fits none. Without any condition but
    the terminal only the newest ``limit`` of each chain are looked at.
    """
    conditions = []
    if query.text:
        named = _named(query.text.strip().lower())
        if named is None:
            return []
        conditions.append(named)
    if query.terminal:
        conditions.append(epochs.c.terminal == query.terminal)
    if query.member:
        conditions.append(records.c.member == query.member)
    if query.kind is not None:
        conditions.append(records.c.kind == query.kind)
    if not (query.text or query.member or query.kind):
        conditions.append(records.c.place > _CHAIN_START + epochs.c.upto_seq - limit)
    order = (records.c.occurred_ms.desc(), records.c.place.desc())
    rows = connection.execute(_listing().where(*conditions).order_by(*order).limit(limit))
    return [_found(row) for row in rows]


# A range of the primary key for each chain: what a join over a shifted place could not use.
_CHAIN_START = epochs.c.chain * (1 << SEQ_BITS)


def _listing() -> Select[Any]:
    within = records.c.place.between(_CHAIN_START + 1, _CHAIN_START + epochs.c.upto_seq)
    return select(
        *(epochs.c.terminal, terminals.c.site, epochs.c.epoch, records.c.place),
        *(records.c.kind, records.c.state, records.c.audit, records.c.member),
        *(records.c.occurred_ms, records.c.received_ms, records.c.data),
    ).select_from(epochs.join(records, within).join(terminals))


def _named(text: str) -> ColumnElement[bool] | None:
    if _TID.fullmatch(text):
        return records.c.tid == bytes.fromhex(text)
    receipt = _RECEIPT.fullmatch(text)
    if receipt is None:
        return None
    terminal, epoch, seq = receipt[1], int(receipt[2]), int(receipt[3])
    return and_(
        epochs.c.terminal == terminal,
        epochs.c.epoch == epoch,
        records.c.place == _CHAIN_START + seq,
    )


def _found(row: Row[Any]) -> Found:
    return Found(
        terminal=row.terminal,
        site=row.site,
        epoch=row.epoch,
        seq=seq_of(row.place),
        kind=Kind(row.kind) if row.kind else None,
        state=row.state,
        audit=row.audit,
        member=row.member,
        occurred_ms=row.occurred_ms,
        received_ms=row.received_ms,
        data=row.data,
    )
