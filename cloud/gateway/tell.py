"""What the cloud tells its terminals, all signed: watermarks, members, bundles, commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from sqlalchemy import Connection

from cloud.errors import UnknownTerminal
from cloud.fleet import store as fleet
from cloud.fleet.model import Terminal, desired_of
from cloud.members import store as members
from cloud.rules import store as rules
from cloud.rules.model import Release
from cloud.storage.engine import Database
from protocol import member_list, shadow, watermark
from protocol.member_list import LIST_BYTES_MAX, MEMBERS_MAX, MemberList
from protocol.shadow import ARMED_MAX, Reported
from protocol.signing import SigningKey
from protocol.topics import RETAINED, Address, Down, address, down_topic
from protocol.watermark import Watermark


class Publisher(Protocol):
    """The line to the broker."""

    def publish(self, topic: str, payload: bytes, *, retain: bool) -> bool: ...


class _Has(NamedTuple):
    """What a terminal reported: how far it has the list, and whose epoch's records it sends."""

    list_version: int
    epoch: int  # 0 = the newest
    feed: int


class Teller:
    """One thread. ``_listed`` is what each terminal that reported has."""

    def __init__(
        self,
        database: Database,
        line: Publisher,
        key: SigningKey,
        tenant: str,
        wall_ms: Callable[[], int],
    ) -> None:
        self._database, self._line, self._key = database, line, key
        self._tenant, self._wall_ms = tenant, wall_ms
        self._listed: dict[str, _Has] = {}
        self._places: dict[str, Address] = {}

    def tell_everybody(self) -> None:
        """Say all that is retained again: the broker may have lost it."""
        with self._database.read() as connection:
            terminals = [
                _at_its_epoch(connection, each) for each in fleet.all_terminals(connection)
            ]
            newest = rules.newest(connection)
        for terminal in terminals:
            self._tell_retained(terminal, newest)

    def tell_all_of(self, terminal: str) -> None:
        """Say all that is retained for one terminal."""
        with self._database.read() as connection:
            found = _at_its_epoch(connection, fleet.terminal(connection, terminal))
            newest = rules.newest(connection)
        self._tell_retained(found, newest)

    def tell_bundle(self) -> None:
        """Say the newest bundle to every terminal."""
        with self._database.read() as connection:
            terminals = fleet.all_terminals(connection)
            newest = rules.newest(connection)
        if newest is not None:
            for terminal in terminals:
                self._say(self._at(terminal), Down.BUNDLE, newest.data)

    def tell_watermark(self, mark: Watermark) -> None:
        """Say how far the ledger has a terminal's records."""
        at = self._places.get(mark.terminal) or self._place_of(mark.terminal)
        if at is not None:
            has = self._listed.get(mark.terminal)
            # What stays with the broker is of the epoch that the terminal is at.
            other = has is not None and has.epoch not in (0, mark.epoch)
            data = watermark.issue(mark, self._key)
            self._say(at, Down.ACK, data, retain=False if other else None)

    def tell_command(self, terminal: str, data: bytes) -> None:
        """Carry a signed command."""
        at = self._places.get(terminal) or self._place_of(terminal)
        if at is not None:
            self._say(at, Down.CMD, data)

    def heard(self, at: Address, reported: Reported) -> None:
        """Note what a terminal has, and say what it lacks: bundles, the mark of its epoch."""
        before = self._listed.get(at.terminal)
        self._listed[at.terminal] = _Has(reported.list_version, reported.epoch, reported.feed)
        have = {reported.bundle_version, *reported.armed_versions}
        now_ms = self._wall_ms()
        with self._database.read() as connection:
            newest = rules.newest_number(connection)
            waiting = rules.in_force_from(connection, reported.bundle_version, now_ms, ARMED_MAX)
            at_epoch = None
            if before is not None and before.epoch != reported.epoch:
                at_epoch = _at_epoch(connection, at.terminal, reported.epoch)
        for release in waiting:
            if release.number not in have:  # only the newest stays with the broker
                self._say(at, Down.BUNDLE, release.data, retain=release.number == newest)
        if at_epoch is not None:
            self._tell_mark(at_epoch)

    def tell_members(self) -> bool:
        """Say to each terminal that reported what changed; False when the line took not all."""
        return all(self._tell_members_to(name) for name in list(self._listed))

    def _tell_members_to(self, name: str) -> bool:
        complete = False
        while not complete:
            has = self._listed[name]
            with self._database.read() as connection:
                terminal = _at_epoch(connection, name, has.epoch)
                if terminal is None:
                    del self._listed[name]
                    return True
                news, data = self._news(connection, terminal, has)
            if news.base == has.list_version == news.list_version:
                return True
            if not self._say(self._at(terminal), Down.MEMBERS, data):
                return False
            self._listed[name] = has._replace(list_version=news.list_version, feed=news.feed)
            complete = news.complete
        return True

    def _news(
        self, connection: Connection, terminal: Terminal, has: _Has
    ) -> tuple[MemberList, bytes]:
        """The next piece for a terminal, signed, with as many members as fit."""
        feed, limit = members.feed(connection), MEMBERS_MAX
        base = has.list_version if has.feed == feed else 0
        while True:
            changes = members.changes(connection, base, limit)
            news = MemberList(
                terminal=terminal.terminal,
                base=changes.base,
                list_version=changes.list_version,
                epoch=terminal.epoch,
                upto_seq=terminal.upto_seq,
                members=changes.members,
                complete=changes.complete,
                server_ms=self._wall_ms(),
                feed=feed,
            )
            data = member_list.issue(news, self._key)
            if len(data) <= LIST_BYTES_MAX or len(changes.members) == 1:
                return news, data
            limit = len(changes.members) // 2

    def _tell_retained(self, terminal: Terminal, newest: Release | None) -> None:
        at = self._at(terminal)
        self._tell_mark(terminal)
        self._say(at, Down.DESIRED, shadow.issue(desired_of(terminal), self._key))
        if newest is not None:
            self._say(at, Down.BUNDLE, newest.data)

    def _tell_mark(self, terminal: Terminal) -> None:
        mark = Watermark(
            terminal=terminal.terminal,
            epoch=terminal.epoch,
            upto_seq=terminal.upto_seq,
            head_hash=terminal.head_hash,
            server_ms=self._wall_ms(),
            standing=terminal.standing,
        )
        self._say(self._at(terminal), Down.ACK, watermark.issue(mark, self._key))

    def _say(self, at: Address, leaf: Down, payload: bytes, *, retain: bool | None = None) -> bool:
        keep = leaf in RETAINED if retain is None else retain
        return self._line.publish(down_topic(at, leaf), payload, retain=keep)

    def _at(self, terminal: Terminal) -> Address:
        at = address(self._tenant, terminal.site, terminal.terminal)
        self._places[terminal.terminal] = at
        return at

    def _place_of(self, terminal: str) -> Address | None:
        with self._database.read() as connection:
            try:
                return self._at(fleet.terminal(connection, terminal))
            except UnknownTerminal:
                return None


def _at_its_epoch(connection: Connection, terminal: Terminal) -> Terminal:
    """The terminal with the figures of the epoch that it last reported."""
    reported = terminal.reported
    return fleet.at_epoch(connection, terminal, 0 if reported is None else reported.epoch)


def _at_epoch(connection: Connection, terminal: str, epoch: int) -> Terminal | None:
    """The terminal with the figures of ``epoch``, or of the newest; None when there is none."""
    try:
        return fleet.at_epoch(connection, fleet.terminal(connection, terminal), epoch)
    except UnknownTerminal:
        return None
