"""What the cloud says to this terminal: verified here, then given to those whom it concerns.

A message that does not verify is counted and left; those behind it are read.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from edge.books import Books
from edge.commands import Commands
from edge.errors import CacheRefused, TimeAhead
from edge.ports import Link
from edge.relay import Relay
from protocol import member_list, shadow, watermark
from protocol.codec import encode
from protocol.errors import BadBundle, Malformed, ProtocolError
from protocol.rules import bundle
from protocol.shadow import ARMED_MAX, Desired, Reported
from protocol.signing import VerifyingKey
from protocol.topics import Address, Down, Up

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose word counts: keys of the cloud and of those who publish prices, by key id."""

    cloud: Mapping[bytes, VerifyingKey]
    rules: Mapping[bytes, VerifyingKey]


class Inbox:
    """One thread. JournalRefused passes through."""

    def __init__(
        self, at: Address, trust: Trust, books: Books, relay: Relay, link: Link, commands: Commands
    ) -> None:
        self._at, self._trust = at, trust
        self._books, self._relay, self._link, self._commands = books, relay, link, commands
        self._handlers = {
            Down.ACK: self._on_watermark,
            Down.MEMBERS: self._on_members,
            Down.BUNDLE: self._on_bundle,
            Down.DESIRED: self._on_desired,
            Down.CMD: self._on_command,
        }
        self.desired = Desired(terminal=at.terminal, revision=0)
        self.refused: Counter[str] = Counter()
        self.last_refused = ""
        self.must_report = True

    def load(self) -> None:
        """Arm the bundles that are on disk."""
        for data in self._books.cache.bundles():
            try:
                self._books.arm(self._accepted(data))
            except ProtocolError as error:
                self._refuse(Down.BUNDLE, error)

    def receive(self, leaf: Down, payload: bytes) -> None:
        """Take one message."""
        try:
            self._handlers[leaf](payload)
        except (ProtocolError, CacheRefused, TimeAhead) as error:
            self._refuse(leaf, error)

    def report(self) -> None:
        """Say which bundle and list this terminal has."""
        in_force = self._books.in_force()
        reported = Reported(
            revision=self.desired.revision,
            bundle_version=in_force.ref.version if in_force else 0,
            bundle_digest=in_force.ref.digest if in_force else bytes(32),
            armed_versions=self._books.armed()[:ARMED_MAX],
            list_version=self._books.cache.state.version,
            epoch=self._relay.state.epoch,
            feed=self._books.cache.state.feed,
        )
        if self._link.publish(Up.REPORTED, encode(reported)) is not None:
            self.must_report = False

    def _refuse(self, leaf: Down, error: ProtocolError | CacheRefused | TimeAhead) -> None:
        self.refused[error.code] += 1
        self.last_refused = error.code
        _log.warning("%s of the cloud refused: %s", leaf, error)

    def _on_watermark(self, payload: bytes) -> None:
        mark = watermark.accept(payload, self._trust.cloud)
        self._check_terminal(mark.terminal)
        self._books.clock.check(mark.server_ms)
        epoch = self._relay.state.epoch
        self._relay.receive(mark, payload)
        if self._relay.state.epoch != epoch:
            self.must_report = True

    def _on_members(self, payload: bytes) -> None:
        news = member_list.accept(payload, self._trust.cloud)
        self._check_terminal(news.terminal)
        self._books.clock.check(news.server_ms)
        if news.epoch != self._relay.state.epoch:
            raise Malformed(f"for epoch {news.epoch}")
        if self._books.cache.apply(news):
            self._books.list_changed()
        else:
            self.must_report = True

    def _on_bundle(self, payload: bytes) -> None:
        published = self._accepted(payload)
        number, announced = published.bundle.number, self._books.announced or 0
        if number < announced:
            raise BadBundle(f"number {number}, and {announced} was in force")
        self._books.arm(published)
        in_force = self._books.in_force()
        self._books.cache.arm(number, payload, in_force.ref.version if in_force else 0)
        self.must_report = True

    def _accepted(self, data: bytes) -> bundle.Published:
        published = bundle.accept(data, self._trust.rules)
        if published.bundle.tenant != self._at.tenant:
            raise BadBundle(f"of tenant {published.bundle.tenant}")
        return published

    def _on_desired(self, payload: bytes) -> None:
        desired = shadow.accept(payload, self._trust.cloud)
        self._check_terminal(desired.terminal)
        if desired.revision > self.desired.revision:
            self.desired = desired
            self.must_report = True

    def _on_command(self, payload: bytes) -> None:
        self._link.publish(Up.RSP, encode(self._commands.run(payload)))

    def _check_terminal(self, terminal: str) -> None:
        if terminal != self._at.terminal:
            raise Malformed(f"for terminal {terminal}")
