"""A member's statement: the records that touched the account, with what they did to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, select

from cloud.ledger.accounts import POINTS, member_accounts
from cloud.storage.rows import seq_of
from cloud.storage.schema import SEQ_BITS, entries, epochs, records, terminals
from protocol.record import Kind

# One page.
PAGE = 50


class StatementLine(NamedTuple):
    """One record: changes of stored value (minor units) and points, as the ledger booked them."""

    terminal: str
    site: str
    epoch: int
    seq: int
    kind: Kind
    state: str
    audit: str
    occurred_ms: int
    received_ms: int
    value: int
    points: int


def statement(
    connection: Connection, member: str, before_ms: int | None = None, limit: int = PAGE
) -> list[StatementLine]:
    """Up to ``limit`` lines that occurred before ``before_ms``, newest first."""
    chain = records.c.place.bitwise_rshift(SEQ_BITS)
    query = (
        select(
            *(records.c.place, epochs.c.terminal, terminals.c.site, epochs.c.epoch),
            *(records.c.kind, records.c.state, records.c.audit),
            *(records.c.occurred_ms, records.c.received_ms),
        )
        .select_from(records.join(epochs, epochs.c.chain == chain).join(terminals))
        .where(records.c.member == member, records.c.kind > 0)
        .order_by(records.c.occurred_ms.desc(), records.c.place.desc())
        .limit(limit)
    )
    if before_ms is not None:
        query = query.where(records.c.occurred_ms < before_ms)
    rows = connection.execute(query).all()
    moved = _moved(connection, member, [row.place for row in rows])
    return [
        StatementLine(
            terminal=row.terminal,
            site=row.site,
            epoch=row.epoch,
            seq=seq_of(row.place),
            kind=Kind(row.kind),
            state=row.state,
            audit=row.audit,
            occurred_ms=row.occurred_ms,
            received_ms=row.received_ms,
            value=moved[row.place][0],
            points=moved[row.place][1],
        )
        for row in rows
    ]


def _moved(
    connection: Connection, member: str, places: Sequence[int]
) -> dict[int, tuple[int, int]]:
    """Place -> change of stored value and points: the opposite of what the liabilities did."""
    query = select(entries.c.place, entries.c.unit, entries.c.amount)
    moved: dict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for place, unit, amount in connection.execute(
        query.where(entries.c.place.in_(places), entries.c.account.in_(member_accounts(member)))
    ):
        value, points = moved[place]
        moved[place] = (value, points - amount) if unit == POINTS else (value - amount, points)
    return moved
