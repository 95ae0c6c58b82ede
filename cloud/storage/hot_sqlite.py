"""The statements of every batch for SQLite: prepared once, many rows each."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import TypeVar

from cloud.storage.rows import Entry, RecordRow
from cloud.storage.states import COLUMNS, columns_of, state_of
from protocol.membership.state import State

# Values of one IN list; a list of always the same length is parsed once.
IN_LIST = 256

Value = TypeVar("Value")

_MARKS = ",".join("?" * IN_LIST)
_MEMBERS = f"SELECT reference, member FROM cards WHERE reference IN ({_MARKS})"  # noqa: S608
_STATES = f"SELECT member, {','.join(COLUMNS)} FROM states WHERE member IN ({_MARKS})"  # noqa: S608
_RECORD = f"INSERT INTO records VALUES ({','.join('?' * len(RecordRow._fields))})"  # noqa: S608
_ENTRY = "INSERT INTO entries VALUES (?,?,?,?,?)"
_BALANCE = """INSERT INTO balances VALUES (?,?,?)
    ON CONFLICT (account, unit) DO UPDATE SET amount = amount + excluded.amount"""
_STATE = f"""UPDATE states SET list_version=?, {"=?, ".join(COLUMNS)}=? WHERE member=?"""  # noqa: S608


class HotSqlite:
    """See cloud.storage.unit_of_work.HotStatements."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def members(self, references: Collection[bytes]) -> dict[bytes, str]:
        """Card reference -> member."""
        found: dict[bytes, str] = {}
        for values in _lists(references):
            found.update(self._connection.execute(_MEMBERS, values))
        return found

    def states(self, members: Collection[str]) -> dict[str, State]:
        """Member -> checkpoint."""
        return {
            row[0]: state_of(row[1:])
            for values in _lists(members)
            for row in self._connection.execute(_STATES, values)
        }

    def add_records(self, rows: Iterable[RecordRow]) -> None:
        """Insert records."""
        self._connection.executemany(_RECORD, rows)

    def add_entries(self, rows: Iterable[Entry]) -> None:
        """Insert entries."""
        self._connection.executemany(_ENTRY, rows)

    def move_balances(self, moves: Mapping[tuple[str, str], int]) -> None:
        """Add to balances."""
        self._connection.executemany(
            _BALANCE, [(*key, amount) for key, amount in sorted(moves.items())]
        )

    def set_states(self, states: Mapping[str, State], first_version: int) -> None:
        """Replace checkpoints; each gets the next list version."""
        self._connection.executemany(
            _STATE,
            [
                (version, *columns_of(state), member)
                for version, (member, state) in enumerate(sorted(states.items()), first_version)
            ],
        )


def _lists(values: Collection[Value]) -> Iterator[list[Value]]:
    """``values`` in lists of IN_LIST, the last filled up with one of its own."""
    rest = iter(values)
    while part := list(islice(rest, IN_LIST)):
        yield part + part[-1:] * (IN_LIST - len(part))
