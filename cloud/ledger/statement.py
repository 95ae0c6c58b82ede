"""A member's statement: the records that touched the account, what they did, what was left."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, func, select, tuple_

from cloud.ledger.accounts import POINTS, member_account_names
from cloud.storage.rows import SEQ_BITS, seq_of
from cloud.storage.schema import entries, epochs, records, terminals
from protocol.record import Kind

# One page.
PAGE = 50


# Where a line stands: occurred_ms and the record's place.
Mark = tuple[int, int]


class StatementLine(NamedTuple):
    """One record: changes of stored value (minor units) and points, as the ledger booked them.

    ``value_after`` and ``points_after`` are what the account held with this line and all before
    it; ``data`` are the record's signed bytes.
    """

    mark: Mark
    data: bytes
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
    value_after: int
    points_after: int


def statement(
    connection: Connection, member: str, before: Mark | None = None, limit: int = PAGE
) -> list[StatementLine]:
    """Up to ``limit`` lines that stand before ``before``, newest first."""
    chain = records.c.place // (1 << SEQ_BITS)
    query = (
        select(
            *(records.c.place, records.c.data, epochs.c.terminal, terminals.c.site, epochs.c.epoch),
            *(records.c.kind, records.c.state, records.c.audit),
            *(records.c.occurred_ms, records.c.received_ms),
        )
        .select_from(records.join(epochs, epochs.c.chain == chain).join(terminals))
        .where(records.c.member == member, records.c.kind > 0)
        .order_by(records.c.occurred_ms.desc(), records.c.place.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(tuple_(records.c.occurred_ms, records.c.place) < before)
    rows = connection.execute(query).all()
    if not rows:
        return []
    moved = _moved(connection, member, [row.place for row in rows])
    value_after, points_after = _held(connection, member, (rows[0].occurred_ms, rows[0].place))
    lines = []
    for row in rows:
        value, points = moved[row.place]
        lines.append(
            StatementLine(
                mark=(row.occurred_ms, row.place),
                data=row.data,
                terminal=row.terminal,
                site=row.site,
                epoch=row.epoch,
                seq=seq_of(row.place),
                kind=Kind(row.kind),
                state=row.state,
                audit=row.audit,
                occurred_ms=row.occurred_ms,
                received_ms=row.received_ms,
                value=value,
                points=points,
                value_after=value_after,
                points_after=points_after,
            )
        )
        value_after -= value
        points_after -= points
    return lines


def _held(connection: Connection, member: str, upto: Mark) -> tuple[int, int]:
    """Stored value and points with all records up to and with ``upto``."""
    query = (
        select(entries.c.unit, func.sum(entries.c.amount))
        .select_from(records.join(entries, entries.c.place == records.c.place))
        .where(
            records.c.member == member,
            tuple_(records.c.occurred_ms, records.c.place) <= upto,
            entries.c.account.in_(member_account_names(member)),
        )
        .group_by(entries.c.unit)
    )
    value = points = 0
    for unit, amount in connection.execute(query):
        if unit == POINTS:
            points -= int(amount)
        else:
            value -= int(amount)
    return value, points


def _moved(
    connection: Connection, member: str, places: Sequence[int]
) -> dict[int, tuple[int, int]]:
    """Place -> change of stored value and points: the opposite of what the liabilities did."""
    query = select(entries.c.place, entries.c.unit, entries.c.amount)
    moved: dict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for place, unit, amount in connection.execute(
        query.where(
            entries.c.place.in_(places), entries.c.account.in_(member_account_names(member))
        )
    ):
        value, points = moved[place]
        moved[place] = (value, points - amount) if unit == POINTS else (value - amount, points)
    return moved
