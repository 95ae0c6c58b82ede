"""A till: a terminal's real books, a real ledger core, and a software purse on the reader."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from cloud.ledger.chains import Batch
from drivers.card import CardIdentity, CardTrust
from drivers.errors import CardGone, DriverError
from drivers.exchange import Deadlines
from drivers.identify import Examiner, card_kinds
from drivers.loan import Loan
from drivers.purse import Debited
from drivers.virtual.faults import VirtualCard
from edge.books import Books, Situation
from edge.cache import Cache
from edge.errors import CardTorn
from edge.journal import Identity, Journal
from edge.order import Answer, Order
from edge.purse import HeldPurse
from edge.tap_flow import Book
from protocol.batch import pack
from protocol.member_list import CardEntry, Snapshot
from protocol.membership.state import State
from protocol.record import Card, Record, read
from tests.drivers.desfire_world import DESFIRE_TRUST, loaded_desfire
from tests.drivers.purse_world import PURSE_TRUST, purse_card
from tests.drivers.world import DirectReader
from tests.edge.world import (
    AT,
    ONLINE,
    TERMINAL_KEY,
    Time,
    members,
    published,
)
from tests.simulation.ledger import Books as Ledgers
from tests.simulation.ledger import Ledger, grant_of

# What both families' cards hold, and the member's account.
BALANCE, PRINCIPAL = 5_000, 10_000
FAMILIES: dict[str, tuple[Callable[[], VirtualCard], CardTrust]] = {
    "desfire": (loaded_desfire, DESFIRE_TRUST),
    "pboc_purse": (purse_card, PURSE_TRUST),
}


class PowerCut(Exception):
    """The terminal is dead in the middle of a tap."""


class FailingPurse(HeldPurse):
    """A purse beside whose debit the power fails: before it, or right behind it."""

    power_fails = ""

    def debit(self, intent: bytes) -> Debited:
        if self.power_fails == "before":
            raise PowerCut
        debited = super().debit(intent)
        if self.power_fails == "behind":
            raise PowerCut
        return debited


class Till:
    """One terminal in ``folder``, one member with one card of ``family``; the card is in hand."""

    def __init__(self, folder: Path, family: str) -> None:
        make_card, trust = FAMILIES[family]
        self._folder, self.time = folder, Time()
        self.reader = DirectReader(make_card())
        self._examiner = Examiner(
            kinds=card_kinds(),
            trust=lambda: replace(trust, day=20_000),
            nonce=lambda: os.urandom(16),
            now=time.monotonic,
        )
        self.reference = self.identify().reference
        self.books = self._open()
        snapshot = Snapshot("m-1", (CardEntry(self.reference),), State(principal=PRINCIPAL))
        other = Snapshot("m-2", (CardEntry(bytes(16)),), State(principal=PRINCIPAL))
        self.books.cache.apply(members([snapshot, other]))
        self.books.list_changed()
        self.books.arm(published())

    def identify(self) -> CardIdentity:
        """The card is put down; DriverError when it left at once."""
        self.reader.card.reset()
        return self._examiner.identify(self.reader, self.reader.presented)

    def hold(self) -> tuple[CardIdentity, FailingPurse]:
        """The card is put down and lent; DriverError when it left at once."""
        identity = self.identify()
        assert identity.purse is not None
        self.loan = Loan(self.reader, self.reader.presented, Deadlines(), time.monotonic)
        return identity, FailingPurse(identity.purse, self.loan, time.monotonic)

    def tap(
        self, order: Order | None, power_fails: str = "", situation: Situation = ONLINE
    ) -> Answer | None:
        """Hold the card to the reader; None when the tap gave no answer."""
        try:
            identity, purse = self.hold()
        except CardGone:
            return None
        purse.power_fails = power_fails
        card = Card(
            identity.reference,
            identity.family,
            identity.assurance,
            identity.counter,
            identity.balance_before,
            None,
            identity.proof,
        )
        self.time.passes(1_000)
        try:
            return self.books.book(Book(order, card, ""), situation, purse)[0]
        except (CardTorn, DriverError):
            return None
        except PowerCut:
            self.restart()
            return None

    def restart(self) -> None:
        """What was in memory is gone."""
        self.close()
        self.books = self._open()
        self.books.arm(published())

    def close(self) -> None:
        """Let go of the files."""
        self.books.journal.close()
        self.books.cache.close()

    def records(self) -> list[Record]:
        """All of the journal."""
        return [read(data)[0].record for data in self.books.journal.read(1, 1_000)]

    def ledger(self) -> Ledgers:
        """What a ledger makes of the journal."""
        books = Ledgers(published(), {self.reference: "m-1", bytes(16): "m-2"}, 100)
        books.grant(AT.terminal, TERMINAL_KEY.verifier.public, 0, trusted=True)
        data = self.books.journal.read(1, 1_000)
        ledger = Ledger(books)
        for at in range(0, len(data), 50):
            batch = Batch(AT.site, AT.terminal, pack(data[at : at + 50]))
            made = ledger.plan(batch, 1)
            assert not made.refusals
            ledger.commit(made)
        assert not books.quarantined
        return books

    def _open(self) -> Books:
        owner = Identity(AT.terminal, 1, grant_of(1), TERMINAL_KEY, TERMINAL_KEY.verifier)
        journal = Journal(self._folder / "journal.db", owner)
        cache = Cache(self._folder / "cache.db")
        books = Books(journal, cache, self.time.clock, AT.terminal, os.urandom)
        books.open_epoch()
        return books
