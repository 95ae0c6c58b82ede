"""A terminal of a simulation: the real flows, books, journal and cache; no thread, no wire."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from edge import sync_flow, tap_flow
from edge.books import Books, Situation
from edge.cache import Cache
from edge.clock import Clock
from edge.commands import Commands
from edge.inbox import Inbox
from edge.journal import Identity, Journal
from edge.order import Answer, Order
from edge.pending import Place
from edge.relay import Relay
from edge.tap_flow import Book, CardSeen, Placed, Settle, Written
from protocol import watermark
from protocol.codec import decode
from protocol.record import Card, Sealed, read
from protocol.rules.bundle import Published
from protocol.shadow import Reported
from protocol.topics import Down, Up, address
from protocol.watermark import Standing
from tests.simulation.clockwork import Clockwork
from tests.simulation.gateway import TRUST
from tests.simulation.ledger import SITE


class Crash(Exception):
    """The power failed."""


class Wire(NamedTuple):
    """What a terminal may do to the world; False when the line takes nothing."""

    publish: Callable[[int, bytes], bool]  # batch with its number
    report: Callable[[Reported], bool]


class Terminal:
    """``power_fails`` is drawn at each point where a crash must not matter."""

    def __init__(
        self,
        folder: Path,
        identity: Identity,
        bundle: Published,
        time: Clockwork,
        power_fails: Callable[[], bool],
        wire: Wire,
    ) -> None:
        self._folder, self.identity, self._bundle = folder, identity, bundle
        self._time, self._power_fails, self._wire = time, power_fails, wire
        self.answered: list[Answer] = []
        self.is_on = False
        self.faults: list[str] = []
        self._number = 0
        self._records: list[Sealed] = []
        self._read_to = 0
        # Whoever looks at a terminal from outside reads its disk.
        self._disk = sqlite3.connect(folder / "journal.db")

    def publish(self, leaf: Up, payload: bytes) -> int | None:
        """See edge.ports.Link; only batches and what the terminal has are simulated."""
        self._number += 1
        if leaf is Up.TX:
            taken = self._wire.publish(self._number, payload)
        else:
            assert leaf is Up.REPORTED
            taken = self._wire.report(decode(payload, Reported))
        return self._number if taken else None

    def start(self) -> None:
        """Switch on: everything comes from the disk."""
        random = self._time.random.randbytes
        clock = Clock(
            lambda: self._time.wall_ms() / 1000,
            lambda: self._time.now_ms / 1000,
            lambda: True,
            random(8),
        )
        name = self.identity.terminal
        self.journal = Journal(self._folder / "journal.db", self.identity)
        self.cache = Cache(self._folder / "cache.db")
        self.books = Books(self.journal, self.cache, clock, name, random)
        self.books.arm(self._bundle)
        self.books.open_epoch()
        self.tap_state = tap_flow.State()
        self.relay = Relay(self.books, clock, self, *self._last_word())
        commands = Commands(name, TRUST.cloud, self.books, self.relay, clock)
        at = address("acme", SITE, name)
        self.inbox = Inbox(at, TRUST, self.books, self.relay, self, commands)
        self.is_on = True

    def stop(self) -> None:
        """The power is gone: what is in memory is gone."""
        self.is_on = False
        self.journal.close()
        self.cache.close()

    def close(self) -> None:
        """Give the files back."""
        if self.is_on:
            self.stop()
        self._disk.close()

    def lose_cache(self) -> None:
        """What can be fetched again is gone from the disk of a terminal that is off."""
        for part in self._folder.glob("cache.db*"):
            part.unlink()

    def tap(self, order: Order, card: Card) -> Answer | None:
        """Place an order and hold the card to the reader, as the agent does it.

        Returns the answer if it is a new one: an order that was booked before has its old one.
        """
        recorded = self.books.recorded(order.id)
        if recorded is not None:
            self.answered.append(recorded)
            return None
        self._step(Placed(order))
        return self._step(CardSeen(card))

    def line_up(self) -> None:
        """The line stands: both sides say what they have."""
        self.inbox.must_report = True
        self.feed(sync_flow.LineUp())

    def feed(self, event: sync_flow.Event) -> None:
        """Let the delivery know."""
        if self.is_on:
            self.relay.feed(event)
            self._tell()

    def receive(self, leaf: Down, payload: bytes) -> None:
        """Take a word of the cloud, which never takes anything back here."""
        if not self.is_on:
            return
        place, version = self._acknowledged(), self.cache.state.version
        self.inbox.receive(leaf, payload)
        if self._acknowledged() < place or self.cache.state.version < version:
            self.faults.append(f"{self.identity.terminal}: took an older word for the newest")
        self._tell()

    def report(self) -> None:
        """Say which list this terminal has, whether anybody asked or not."""
        if self.is_on:
            self.inbox.must_report = True
            self._tell()

    def records(self) -> list[Sealed]:
        """Every record of every epoch, from the disk; none is read twice (it never changes)."""
        rows = self._disk.execute(
            "SELECT id, data FROM records WHERE id > ? ORDER BY id", (self._read_to,)
        ).fetchall()
        if rows:
            self._read_to = rows[-1][0]
            self._records += [read(data)[0] for _, data in rows]
        return self._records

    def acknowledged(self) -> dict[int, int]:
        """Epoch -> the newest record that the ledger is known to have, from the disk."""
        return dict(self._disk.execute("SELECT epoch, upto_seq FROM epochs").fetchall())

    def _acknowledged(self) -> Place:
        return Place(self.relay.state.epoch, self.relay.state.acked)

    def _last_word(self) -> tuple[Standing, int]:
        """See edge.wiring."""
        if self.journal.watermark is None:
            return Standing.ACTIVE, 0
        mark = watermark.accept(self.journal.watermark, TRUST.cloud)
        return mark.standing, mark.server_ms

    def _tell(self) -> None:
        if self.inbox.must_report and self.relay.state.phase is sync_flow.Phase.LINE_UP:
            self.inbox.report()

    def _step(self, event: tap_flow.Event) -> Answer | None:
        self.tap_state, actions = tap_flow.step(self.tap_state, event, self._time.now_ms)
        settled = None
        for action in actions:
            if isinstance(action, Book):
                settled = self._book(action)
            elif isinstance(action, Settle):
                settled = action.answer
                self.answered.append(settled)
        return settled

    def _book(self, action: Book) -> Answer | None:
        if self._power_fails():
            raise Crash
        online = self.relay.state.phase is sync_flow.Phase.LINE_UP
        answer, _ = self.books.book(action, Situation(online, ""))
        if self._power_fails():
            raise Crash
        settled = self._step(Written(answer))
        self.relay.appended()
        return settled
