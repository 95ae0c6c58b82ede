"""What all members together hold: the money that is owed to them, and by them."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, func, select

from cloud.storage.schema import cards, members, states


class Figures(NamedTuple):
    """Amounts in minor units; ``overdraft`` is money that members owe."""

    members: int
    cards: int
    principal: int
    overdraft: int
    points: int


def figures(connection: Connection) -> Figures:
    """Count and sum."""
    columns = (states.c.principal, states.c.overdraft, states.c.points)
    sums = [func.coalesce(func.sum(column), 0) for column in columns]
    principal, overdraft, points = connection.execute(select(*sums)).one()
    return Figures(
        connection.execute(select(func.count()).select_from(members)).scalar_one(),
        connection.execute(select(func.count()).select_from(cards)).scalar_one(),
        int(principal),
        int(overdraft),
        int(points),
    )
