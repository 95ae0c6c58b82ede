"""A terminal of a simulation: the real flows, books, journal and cache; no thread, no wire."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple

from edge import sync_flow, tap_flow
from edge.books import Books, Situation
from edge.cache import Cache
from edge.clock import Clock
from edge.journal import Identity, Journal
from edge.order import Answer, Order
from edge.relay import Relay
from edge.tap_flow import Book, CardSeen, Placed, Settle, Written
from protocol.member_list import MemberList
from protocol.record import Card, Sealed, read
from protocol.rules.bundle import Published
from protocol.topics import Up
from protocol.watermark import Standing, Watermark


class Crash(Exception):
    """The power failed."""


class Wire(NamedTuple):
    """What a terminal may do to the world: publish batch ``number``, ask for the member list."""

    publish: Callable[[int, bytes], bool]
    ask: Callable[[int], None]


class Terminal:
    """``power_fails`` is drawn at each point where a crash must not matter."""

    def __init__(
        self,
        folder: Path,
        identity: Identity,
        bundle: Published,
        now_ms: Callable[[], int],
        random: Random,
        power_fails: Callable[[], bool],
        wire: Wire,
    ) -> None:
        self._folder, self.identity, self._bundle = folder, identity, bundle
        self._now_ms, self._random, self._power_fails, self._wire = (
            now_ms,
            random,
            power_fails,
            wire,
        )
        self.answered: list[Answer] = []
        self.is_on = False
        self._number = 0
        self._chain: list[Sealed] = []

    def publish(self, leaf: Up, payload: bytes) -> int | None:
        """See edge.ports.Link; only batches are simulated."""
        assert leaf is Up.TX
        self._number += 1
        return self._number if self._wire.publish(self._number, payload) else None

    def start(self) -> None:
        """Switch on: everything comes from the disk."""
        clock = Clock(
            lambda: 1_790_000_000 + self._now_ms() / 1000,
            lambda: self._now_ms() / 1000,
            lambda: True,
            self._random.randbytes(8),
        )
        self.journal = Journal(self._folder / "journal.db", self.identity)
        self.cache = Cache(self._folder / "cache.db")
        self.books = Books(
            self.journal, self.cache, clock, self.identity.terminal, self._random.randbytes
        )
        self.books.arm(self._bundle)
        self.books.open_epoch()
        self.tap_state = tap_flow.State()
        self.relay = Relay(self.books, clock, self, Standing.ACTIVE)
        self.is_on = True

    def stop(self) -> None:
        """The power is gone: what is in memory is gone."""
        self.is_on = False
        self.journal.close()
        self.cache.close()

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

    def _step(self, event: tap_flow.Event) -> Answer | None:
        self.tap_state, actions = tap_flow.step(self.tap_state, event, self._now_ms())
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

    def feed(self, event: sync_flow.Event) -> None:
        """Let the delivery know."""
        if self.is_on:
            self.relay.feed(event)

    def receive_watermark(self, watermark: Watermark) -> None:
        """The cloud's word on what it has."""
        if self.is_on:
            self.relay.receive(watermark, b"signed")

    def receive_list(self, news: MemberList) -> None:
        """Changes of the member list; those that do not fit are asked for again."""
        if not self.is_on:
            return
        if self.cache.apply(news):
            self.books.list_changed()
        else:
            self._wire.ask(self.cache.state.version)

    def chain(self) -> list[Sealed]:
        """Every record, from the disk; what was read once is not read again (it never changes)."""
        fresh = self.journal.read(len(self._chain) + 1, self.journal.head.seq)
        self._chain += [read(data)[0] for data in fresh]
        return self._chain
