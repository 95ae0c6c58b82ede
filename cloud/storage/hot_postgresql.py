"""The statements of every batch for PostgreSQL: binary COPY, and arrays that are unnested."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import psycopg

from cloud.storage.rows import POSTED, Entry, RecordRow
from cloud.storage.states import COLUMNS, columns_of, state_of
from protocol.membership.state import State

_ACCOUNTS = f"""SELECT reference, states.member, {", ".join(COLUMNS)}
    FROM cards JOIN states USING (member)
    WHERE reference = ANY(%s)"""  # noqa: S608
_USED = f"SELECT tid FROM records WHERE tid = ANY(%s) AND state = '{POSTED}'"  # noqa: S608
_SAID = "SELECT said FROM card_uses WHERE said = ANY(%s)"
_USES = "INSERT INTO card_uses SELECT * FROM unnest(%b::bytea[], %b::int8[])"
_RECORDS = "COPY records FROM STDIN (FORMAT BINARY)"
_RECORD_TYPES = [
    *("int8", "bytea", "bytea", "bytea", "int8", "text", "text", "int8", "text", "int8", "int8")
]
_ENTRIES = "COPY entries FROM STDIN (FORMAT BINARY)"
_ENTRY_TYPES = ["int8", "int8", "text", "text", "int8"]
_BALANCES = """INSERT INTO balances
    SELECT * FROM unnest(%b::text[], %b::text[], %b::int8[])
    ON CONFLICT (account, unit) DO UPDATE SET amount = balances.amount + excluded.amount"""
_STATE_TYPES = [*["int8"] * 7, "text", "int8", "int8", "bytea"]
_SET_STATES = f"""UPDATE states SET list_version = new.list_version,
        {", ".join(f"{name} = new.{name}" for name in COLUMNS)}
    FROM unnest(%b::text[], %b::int8[], {", ".join(f"%b::{kind}[]" for kind in _STATE_TYPES)})
        AS new(member, list_version, {", ".join(COLUMNS)})
    WHERE states.member = new.member"""  # noqa: S608


class HotPostgresql:
    """See cloud.storage.unit_of_work.HotStatements."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._cursor = connection.cursor(binary=True)

    def accounts(self, references: Collection[bytes]) -> dict[bytes, tuple[str, State]]:
        """Card reference -> member and checkpoint."""
        rows = self._cursor.execute(_ACCOUNTS, (list(references),)).fetchall()
        return {row[0]: (row[1], state_of(row[2:])) for row in rows}

    def used(self, tids: Collection[bytes]) -> set[bytes]:
        """Those of ``tids`` that a posted record carries."""
        return {row[0] for row in self._cursor.execute(_USED, (list(tids),))}

    def said(self, uses: Collection[bytes]) -> set[bytes]:
        """Those of ``uses`` that a posted record has."""
        return {row[0] for row in self._cursor.execute(_SAID, (list(uses),))}

    def add_records(self, rows: Iterable[RecordRow]) -> None:
        """Insert records."""
        self._copy(_RECORDS, _RECORD_TYPES, rows)

    def add_entries(self, rows: Iterable[Entry]) -> None:
        """Insert entries."""
        self._copy(_ENTRIES, _ENTRY_TYPES, rows)

    def move_balances(self, moves: Mapping[tuple[str, str], int]) -> None:
        """Add to balances, in the order of accounts."""
        rows = [(*key, amount) for key, amount in sorted(moves.items())]
        self._unnest(_BALANCES, rows)

    def add_uses(self, uses: Mapping[bytes, int]) -> None:
        """Insert what cards said once, and where."""
        self._unnest(_USES, list(uses.items()))

    def set_states(self, states: Mapping[str, State], first_version: int) -> None:
        """Replace checkpoints; each gets the next list version."""
        rows = [
            (member, version, *columns_of(state))
            for version, (member, state) in enumerate(sorted(states.items()), first_version)
        ]
        self._unnest(_SET_STATES, rows)

    def _copy(self, statement: str, types: list[str], rows: Iterable[tuple[Any, ...]]) -> None:
        with self._cursor.copy(statement) as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)

    def _unnest(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        if rows:
            self._cursor.execute(statement, [list(column) for column in zip(*rows, strict=True)])
