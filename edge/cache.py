"""What the cloud told this terminal, on disk: members, cards, bundles. Verifying is the inbox's.

All of it can be fetched again, so a broken file is thrown away. The journal is another file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from edge.database import open_database
from edge.errors import CacheRefused
from edge.pending import START, Place
from protocol.member_list import MemberList, Snapshot

# The bundle in force, those that wait, and a few to look back at.
BUNDLES_KEPT = 8

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Snapshot).decode


class ListState(NamedTuple):
    """Version of the member list, and the last of our own records that is in it."""

    version: int = 0
    covered: Place = START


class Cache:
    """One writer, one thread. Every method raises CacheRefused when the disk refuses."""

    state: ListState

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self.reopen()

    def reopen(self) -> None:
        """Read everything again from the disk; an empty list means that the file was broken."""
        self.close()
        try:
            self._connection = _open(self._path)
        except (sqlite3.Error, OSError) as error:
            raise CacheRefused(f"{self._path}: {error}") from error
        version, epoch, seq = self._run("SELECT * FROM list")[0]
        self.state = ListState(version, Place(epoch, seq))

    def close(self) -> None:
        """Let go of the file; never raises."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None

    def snapshot(self, reference: bytes) -> Snapshot | None:
        """Return the member whose card this is."""
        rows = self._run(
            "SELECT snapshot FROM cards JOIN members USING (member) WHERE reference = ?",
            (reference,),
        )
        return _decode(rows[0][0]) if rows else None

    def members(self) -> int:
        """Return how many members the list has."""
        count: int = self._run("SELECT count(*) FROM members")[0][0]
        return count

    def apply(self, news: MemberList) -> bool:
        """Take the changes in one transaction; False when some are missing before them."""
        if news.base > self.state.version:
            return False
        if news.base and news.list_version <= self.state.version:
            return True
        place = Place(news.epoch, news.upto_seq)
        fresh = ListState(news.list_version, place if news.complete else self.state.covered)
        self._run("BEGIN IMMEDIATE")
        try:
            if news.base == 0:
                self._run("DELETE FROM members")
                self._run("DELETE FROM cards")
            for snapshot in news.members:
                self._put(snapshot)
            self._run(
                "UPDATE list SET list_version = ?, epoch = ?, upto_seq = ?",
                (fresh.version, *fresh.covered),
            )
            self._run("COMMIT")
        except CacheRefused:
            self.reopen()
            raise
        self.state = fresh
        return True

    def arm(self, number: int, data: bytes) -> None:
        """Keep a verified bundle; the oldest beyond BUNDLES_KEPT goes."""
        self._run("INSERT OR REPLACE INTO bundles VALUES (?, ?)", (number, data))
        self._run(
            "DELETE FROM bundles WHERE number NOT IN"
            " (SELECT number FROM bundles ORDER BY number DESC LIMIT ?)",
            (BUNDLES_KEPT,),
        )

    def bundles(self) -> Sequence[bytes]:
        """Return the kept bundles as they came, lowest number first."""
        return [data for (data,) in self._run("SELECT data FROM bundles ORDER BY number")]

    def _put(self, snapshot: Snapshot) -> None:
        member = snapshot.member
        self._run("INSERT OR REPLACE INTO members VALUES (?, ?)", (member, _encode(snapshot)))
        self._run("DELETE FROM cards WHERE member = ?", (member,))
        for card in snapshot.cards:
            self._run("INSERT OR REPLACE INTO cards VALUES (?, ?)", (card.reference, member))

    def _run(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        if self._connection is None:
            raise CacheRefused("waits to be read again")
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise CacheRefused(str(error)) from error


def _open(path: Path) -> sqlite3.Connection:
    """Open the file; one that is broken is replaced by an empty one."""
    try:
        return open_database(path, "cache")
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        for part in ("", "-wal", "-shm"):
            Path(f"{path}{part}").unlink(missing_ok=True)
        return open_database(path, "cache")
