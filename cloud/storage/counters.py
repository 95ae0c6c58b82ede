"""Numbers that rise by one writer at a time, without a gap that a reader could fall into."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update

from cloud.storage.schema import counters

LIST_VERSION = "list_version"


def current(connection: Connection, name: str) -> int:
    """The highest number given out; 0 when none was."""
    value = connection.execute(select(counters.c.value).where(counters.c.name == name)).scalar()
    return value or 0


def take(connection: Connection, name: str, count: int) -> int:
    """Take the next ``count`` numbers and return the first; needs a write transaction."""
    value = current(connection, name)
    if value:
        statement = update(counters).where(counters.c.name == name)
        connection.execute(statement.values(value=value + count))
    else:
        connection.execute(insert(counters).values(name=name, value=count))
    return value + 1
