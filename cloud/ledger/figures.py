"""The ledger in a few numbers, the most telling of which must be 0."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, func, select

from cloud.ledger.accounts import POINTS, sales
from cloud.storage.schema import balances, epochs, quarantine, terminals


class Figures(NamedTuple):
    """``off`` maps each unit to the sum of all balances: 0 in books that balance."""

    records: int
    quarantined: int
    off: dict[str, int]


class SiteSales(NamedTuple):
    """What a site has sold since the beginning, in minor units."""

    site: str
    amount: int


def figures(connection: Connection) -> Figures:
    """Count and sum."""
    taken = connection.execute(select(func.coalesce(func.sum(epochs.c.upto_seq), 0))).scalar_one()
    kept = select(func.count()).where(quarantine.c.settled_ms == 0)
    apart = connection.execute(kept).scalar_one()
    units = select(balances.c.unit, func.sum(balances.c.amount)).group_by(balances.c.unit)
    off = {unit: int(total) for unit, total in connection.execute(units)}
    return Figures(int(taken), apart, off)


def sales_by_site(connection: Connection) -> list[SiteSales]:
    """Every site with a terminal, by id."""
    sites = connection.execute(select(terminals.c.site).distinct().order_by(terminals.c.site))
    names = {sales(site, "").name: site for (site,) in sites}
    query = select(balances.c.account, balances.c.amount).where(
        balances.c.account.in_(names), balances.c.unit != POINTS
    )
    sold = {names[account]: -amount for account, amount in connection.execute(query)}
    return [SiteSales(site, sold.get(site, 0)) for site in names.values()]
