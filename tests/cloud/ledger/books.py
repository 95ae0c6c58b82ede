"""Reads the books of a test's ledger: verdict, states, flags, what is kept apart."""

from __future__ import annotations

from sqlalchemy import select

from cloud.ledger.verify import Verdict, verify_ledger
from cloud.members import store as members
from cloud.storage.engine import Database
from cloud.storage.schema import quarantine, records
from protocol.membership.state import State
from tests.cloud.town import CURRENCY


def verdict_of(database: Database) -> Verdict:
    with database.read() as connection:
        return verify_ledger(connection, CURRENCY, lambda _done, _of: None)


def fold_of(database: Database, member: str) -> State:
    with database.read() as connection:
        return members.member(connection, member).state


def flags(database: Database) -> list[str]:
    with database.read() as connection:
        found = connection.execute(select(records.c.audit).where(records.c.audit != ""))
        return list(found.scalars())


def reasons(database: Database) -> list[str]:
    """Why records are kept apart, oldest first."""
    with database.read() as connection:
        found = connection.execute(select(quarantine.c.reason).order_by(quarantine.c.id))
        return list(found.scalars())
