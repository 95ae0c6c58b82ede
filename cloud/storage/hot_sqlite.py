"""The statements of every batch for SQLite: prepared once, many rows each."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import TypeVar

from cloud.storage.rows import POSTED, Entry, RecordRow
from cloud.storage.states import COLUMNS, columns_of, state_of
from protocol.membership.state import State

# Values of one IN list; a list of always the same length is parsed once.
IN_LIST = 256

Value = TypeVar("Value")

_ACCOUNTS = f"""SELECT reference, states.member, {", ".join(COLUMNS)}
    FROM cards JOIN states USING (member)
    WHERE reference IN ({",".join("?" * IN_LIST)})"""  # noqa: S608
_USED = f"""SELECT tid FROM records
    WHERE tid IN ({",".join("?" * IN_LIST)}) AND state = '{POSTED}'"""  # noqa: S608
_SAID = f"SELECT said FROM card_uses WHERE said IN ({','.join('?' * IN_LIST)})"  # noqa: S608
_USE = "INSERT INTO card_uses VALUES (?,?)"
_RECORD = f"INSERT INTO records VALUES ({','.join('?' * len(RecordRow._fields))})"  # noqa: S608
_ENTRY = "INSERT INTO entries VALUES (?,?,?,?,?)"
_BALANCE = """INSERT INTO balances VALUES (?,?,?)
    ON CONFLICT (account, unit) DO UPDATE SET amount = amount + excluded.amount"""
_STATE = f"""UPDATE states SET list_version=?, {"=?, ".join(COLUMNS)}=? WHERE member=?"""  # noqa: S608


class HotSqlite:
    """See cloud.storage.unit_of_work.HotStatements."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def accounts(self, references: Collection[bytes]) -> dict[bytes, tuple[str, State]]:
        """Card reference -> member and checkpoint."""
        return {
            row[0]: (row[1], state_of(row[2:]))
            for values in _lists(references)
            for row in self._connection.execute(_ACCOUNTS, values)
        }

    def used(self, tids: Collection[bytes]) -> set[bytes]:
        """Those of ``tids`` that a posted record carries."""
        return {
            row[0] for values in _lists(tids) for row in self._connection.execute(_USED, values)
        }

    def said(self, uses: Collection[bytes]) -> set[bytes]:
        """Those of ``uses`` that a posted record has."""
        return {
            row[0] for values in _lists(uses) for row in self._connection.execute(_SAID, values)
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

    def add_uses(self, uses: Mapping[bytes, int]) -> None:
        """Insert what cards said once, and where."""
        self._connection.executemany(_USE, uses.items())

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
