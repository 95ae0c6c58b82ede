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

from edge.database import open_replaceable
from edge.errors import CacheRefused
from edge.pending import START, Place
from protocol.member_list import MemberList, Snapshot

# Besides the bundle in force and those that wait: a few to look back at.
BUNDLES_KEPT = 8

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Snapshot).decode


_TAKE_PIECES = (
    "DELETE FROM cards WHERE member IN (SELECT member FROM staged_members)",
    "INSERT OR REPLACE INTO members SELECT * FROM staged_members",
    "INSERT OR REPLACE INTO cards SELECT * FROM staged_cards",
)
_FORGET_PIECES = ("DELETE FROM staged_members", "DELETE FROM staged_cards")


class ListState(NamedTuple):
    """Version of the member list, and the last of our own records that is in it.

    Pieces that wait for their last one lead from ``staged_base`` to ``staged_version``.
    ``server_ms`` is the cloud's clock in the newest message. A version says something only within
    one ``feed``.
    """

    version: int = 0
    covered: Place = START
    staged_base: int | None = None
    staged_version: int | None = None
    server_ms: int = 0
    feed: int = 0
    staged_feed: int = 0


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
            self._connection = open_replaceable(self._path, "cache")
        except (sqlite3.Error, OSError) as error:
            raise CacheRefused(f"{self._path}: {error}") from error
        version, epoch, seq, *staged = self._run("SELECT * FROM list")[0]
        self.state = ListState(version, Place(epoch, seq), *staged)

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
        """Take a message in one transaction; False when some are missing before it.

        Pieces are staged and take effect with the last. What comes late changes nothing.
        """
        state = self.state
        if news.server_ms < state.server_ms:
            return True
        staged = state.staged_version, state.staged_feed
        follows = staged == (news.base, news.feed)
        is_other = bool(news.base) and news.feed != state.feed
        if not follows and (news.base > state.version or is_other):
            return False
        if not follows and news.base and news.list_version <= state.version:
            return True
        base = state.staged_base if follows else news.base
        fresh = state._replace(
            staged_base=base,
            staged_version=news.list_version,
            server_ms=news.server_ms,
            staged_feed=news.feed,
        )
        if news.complete:
            covered = Place(news.epoch, news.upto_seq)
            version, feed, server_ms = news.list_version, news.feed, news.server_ms
            fresh = ListState(version, covered, server_ms=server_ms, feed=feed)
        self._run("BEGIN IMMEDIATE")
        try:
            self._run_all(() if follows else _FORGET_PIECES)
            for snapshot in news.members:
                self._stage(snapshot)
            if news.complete:
                whole = ("DELETE FROM members", "DELETE FROM cards") if base == 0 else ()
                self._run_all((*whole, *_TAKE_PIECES, *_FORGET_PIECES))
            self._write(fresh)
            self._run("COMMIT")
        except CacheRefused:
            self.reopen()
            raise
        self.state = fresh
        return True

    def arm(self, number: int, data: bytes, in_force: int) -> None:
        """Keep a verified bundle; the oldest beyond BUNDLES_KEPT below ``in_force`` go."""
        self._run("INSERT OR REPLACE INTO bundles VALUES (?, ?)", (number, data))
        self._run(
            "DELETE FROM bundles WHERE number <="
            " (SELECT number FROM bundles WHERE number < ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
            (in_force, BUNDLES_KEPT),
        )

    def bundles(self) -> Sequence[bytes]:
        """Return the kept bundles as they came, lowest number first."""
        return [data for (data,) in self._run("SELECT data FROM bundles ORDER BY number")]

    def _stage(self, snapshot: Snapshot) -> None:
        member = snapshot.member
        self._run(
            "INSERT OR REPLACE INTO staged_members VALUES (?, ?)", (member, _encode(snapshot))
        )
        self._run("DELETE FROM staged_cards WHERE member = ?", (member,))
        for card in snapshot.cards:
            self._run("INSERT OR REPLACE INTO staged_cards VALUES (?, ?)", (card.reference, member))

    def _write(self, state: ListState) -> None:
        self._run(
            "UPDATE list SET list_version = ?, epoch = ?, upto_seq = ?,"
            " staged_base = ?, staged_version = ?, server_ms = ?, feed = ?, staged_feed = ?",
            (state.version, *state.covered, *state[2:]),
        )

    def _run_all(self, statements: Sequence[str]) -> None:
        for statement in statements:
            self._run(statement)

    def _run(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        if self._connection is None:
            raise CacheRefused("waits to be read again")
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise CacheRefused(str(error)) from error
