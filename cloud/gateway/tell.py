"""What the cloud tells its terminals, all signed: watermarks, members, bundles, commands."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from sqlalchemy import Connection

from cloud.errors import UnknownTerminal
from cloud.fleet import store as fleet
from cloud.fleet.model import Terminal, desired_of
from cloud.members import store as members
from cloud.rules import store as rules
from cloud.rules.model import Release
from cloud.storage.engine import Database
from protocol import member_list, shadow, watermark
from protocol.member_list import MemberList
from protocol.shadow import Reported
from protocol.signing import SigningKey
from protocol.topics import RETAINED, Address, Down, address, down_topic
from protocol.watermark import Watermark


class Publisher(Protocol):
    """The line to the broker."""

    def publish(self, topic: str, payload: bytes, *, retain: bool) -> bool: ...


class Teller:
    """One thread. ``_listed`` is how far each terminal that reported has the member list."""

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
        self._listed: dict[str, int] = {}
        self._places: dict[str, Address] = {}

    def tell_everybody(self) -> None:
        """Say all that is retained again: the broker may have lost it."""
        with self._database.read() as connection:
            terminals = fleet.all_terminals(connection)
            newest = _newest(connection)
        for terminal in terminals:
            self._tell_retained(terminal, newest)

    def tell_all_of(self, terminal: str) -> None:
        """Say all that is retained for one terminal."""
        with self._database.read() as connection:
            found = fleet.terminal(connection, terminal)
            newest = _newest(connection)
        self._tell_retained(found, newest)

    def tell_bundle(self) -> None:
        """Say the newest bundle to every terminal."""
        with self._database.read() as connection:
            terminals = fleet.all_terminals(connection)
            newest = _newest(connection)
        if newest is not None:
            for terminal in terminals:
                self._say(self._at(terminal), Down.BUNDLE, newest.data)

    def tell_watermark(self, mark: Watermark) -> None:
        """Say how far the ledger has a terminal's records."""
        at = self._places.get(mark.terminal) or self._place_of(mark.terminal)
        if at is not None:
            self._say(at, Down.ACK, watermark.issue(mark, self._key))

    def tell_command(self, terminal: str, data: bytes) -> None:
        """Carry a signed command."""
        at = self._places.get(terminal) or self._place_of(terminal)
        if at is not None:
            self._say(at, Down.CMD, data)

    def heard(self, at: Address, reported: Reported) -> None:
        """Note what a terminal has, and say the bundles that it lacks."""
        self._listed[at.terminal] = reported.list_version
        have = {reported.bundle_version, *reported.armed_versions}
        with self._database.read() as connection:
            now = rules.in_force(connection, self._wall_ms())
            newest = _newest(connection)
        if newest is None:
            return
        # What is in force comes first; only the newest stays with the broker.
        lacks_now = now is not None and now.number not in have
        if now is not None and lacks_now and reported.bundle_version < now.number < newest.number:
            self._say(at, Down.BUNDLE, now.data, retain=False)
        if newest.number not in have:
            self._say(at, Down.BUNDLE, newest.data)

    def tell_members(self) -> None:
        """Say to each terminal that reported what changed since it last heard."""
        for name in list(self._listed):
            self._tell_members_to(name)

    def _tell_members_to(self, name: str) -> None:
        complete = False
        while not complete:
            with self._database.read() as connection:
                try:
                    terminal = fleet.terminal(connection, name)
                except UnknownTerminal:
                    del self._listed[name]
                    return
                base = self._listed[name]
                changes = members.changes(connection, base)
            if changes.base == base == changes.list_version:
                return
            news = MemberList(
                terminal=name,
                base=changes.base,
                list_version=changes.list_version,
                epoch=terminal.epoch,
                upto_seq=terminal.upto_seq,
                members=changes.members,
                complete=changes.complete,
            )
            if not self._say(self._at(terminal), Down.MEMBERS, member_list.issue(news, self._key)):
                return
            self._listed[name] = changes.list_version
            complete = changes.complete

    def _tell_retained(self, terminal: Terminal, newest: Release | None) -> None:
        at = self._at(terminal)
        mark = Watermark(
            terminal=terminal.terminal,
            epoch=terminal.epoch,
            upto_seq=terminal.upto_seq,
            head_hash=terminal.head_hash,
            server_ms=self._wall_ms(),
            standing=terminal.standing,
        )
        self._say(at, Down.ACK, watermark.issue(mark, self._key))
        desired = desired_of(terminal, 0 if newest is None else newest.number)
        self._say(at, Down.DESIRED, shadow.issue(desired, self._key))
        if newest is not None:
            self._say(at, Down.BUNDLE, newest.data)

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


def _newest(connection: Connection) -> Release | None:
    releases: Iterable[Release] = rules.all_bundles(connection)
    return next(iter(releases), None)
