"""Numbers that rise by one writer at a time, without a gap that a reader could fall into."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update

from cloud.storage.schema import counters

LIST_VERSION = "list_version"
# No count: names the life of the ledger in which list versions mean something; 0 = not drawn yet.
FEED = "feed"


def current(connection: Connection, name: str) -> int:
    """The highest number given out; 0 when none was."""
    value = connection.execute(select(counters.c.value).where(counters.c.name == name)).scalar()
    return value or 0


def take(connection: Connection, name: str, count: int) -> int:
    """Take the next ``count`` numbers and return the first; needs a write transaction."""
    value = current(connection, name)
    put(connection, name, value + count)
    return value + 1


def put(connection: Connection, name: str, value: int) -> None:
    """Set a number, above 0; needs a write transaction."""
    if current(connection, name):
        connection.execute(update(counters).where(counters.c.name == name).values(value=value))
    else:
        connection.execute(insert(counters).values(name=name, value=value))
