"""A few terminals, a lossy line, a ledger that crashes: one seed is one history.

First everything fails at random, then everything is healed and must come to rest. What must hold
then is written in ``verdict``: an empty list is a world without a fault.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from cloud.ledger.chains import Batch
from cloud.storage.rows import Chain
from edge import sync_flow
from edge.journal import Identity
from edge.order import Answer, AnswerState, Item, Order, sale, top_up, void
from protocol.chain import extend
from protocol.grant import opening_head
from protocol.membership.event import Event, event_of, moves_account
from protocol.membership.fold import fold
from protocol.membership.state import EMPTY
from protocol.membership.tiers import Tier
from protocol.record import Card, CardClass
from protocol.risk.limits import OfflineLimits
from protocol.rules.bundle import Bundle, Product, Rule, issue
from protocol.signing import EDDSA, Ed25519Signer
from protocol.watermark import Standing
from tests.protocol.world import CLOUD_KEY
from tests.simulation.clockwork import Clockwork
from tests.simulation.ledger import Books, Ledger
from tests.simulation.terminal import Crash, Terminal, Wire

TERMINALS, MEMBERS = 4, 6
FAULTS_END_MS = 300_000
# Resends slow down to one a minute: two of them, and the answer, must fit.
REST_MS = FAULTS_END_MS + 300_000
TAP_EVERY_MS = 12_000
GRANT = b"a grant"
BUNDLE = issue(
    Bundle(
        tenant="acme",
        number=1,
        activate_ms=0,
        currency="CNY",
        products=(Product("coffee", 2_800, "咖啡", "Coffee"), Product("bun", 799, "包子", "Bun")),
        rules=(
            Rule("points", "points_per_spend", {"points": 1, "per": 100}),
            Rule("gold-10", "percent_off", {"basis_points": 1_000, "tier": "gold"}),
        ),
        tiers=(Tier("gold", 20_000),),
        limits=OfflineLimits(50, 1_000_000),
    ),
    CLOUD_KEY,
)


@dataclass
class Settings:
    """How bad the world is; drawn from the seed unless a test plants a bug."""

    loss: float
    duplication: float
    crash: float
    answer_first: bool = False  # bug: the screen says yes before the disk does
    watermark_first: bool = False  # bug: the receipt goes out before the commit
    list_claims: int = 0  # bug: the list says that it has more of our records than it has


@dataclass
class World:
    """One seed; ``run`` it, then ask for the ``verdict``."""

    seed: int
    folder: Path
    settings: Settings | None = None
    faults: list[str] = field(default_factory=list)
    taps: int = 0

    def __post_init__(self) -> None:
        self.clock = Clockwork(self.seed)
        random = self.clock.random
        drawn = Settings(random.uniform(0, 0.3), random.uniform(0, 0.5), random.uniform(0, 0.02))
        self.set = self.settings or drawn
        self.cards = [random.randbytes(16) for _ in range(MEMBERS + 2)]
        owners = [f"m-{place % MEMBERS}" for place in range(MEMBERS + 2)]
        self.books = Books(BUNDLE, dict(zip(self.cards, owners, strict=True)), {})
        self.ledger = Ledger(self.books)
        self.lines: dict[str, bool] = {}
        self.terminals = [self._terminal(place) for place in range(TERMINALS)]

    def run(self) -> None:
        """Faults, then peace, then rest."""
        for terminal in self.terminals:
            terminal.start()
            self._line_up(terminal)
            self.clock.soon(TAP_EVERY_MS, lambda terminal=terminal: self._tap(terminal))  # type: ignore[misc]
            self.clock.soon(40_000, lambda terminal=terminal: self._cut(terminal))  # type: ignore[misc]
            self._tick(terminal)
        self.clock.run(FAULTS_END_MS)
        self.set = Settings(0, 0, 0, list_claims=self.set.list_claims)
        for terminal in self.terminals:
            if not terminal.is_on:
                terminal.start()
            if not self.lines[terminal.identity.terminal]:
                self._line_up(terminal)
        self.clock.run(REST_MS)

    def close(self) -> None:
        """Give the terminals' files back; the verdict is asked for before."""
        for terminal in self.terminals:
            if terminal.is_on:
                terminal.stop()

    def digest(self) -> tuple[object, ...]:
        """Everything that two runs of one seed must have in common."""
        return (
            self.taps,
            sorted(self.books.balances.items()),
            sorted((place, row.hash) for place, row in self.books.records.items()),
            sorted(self.books.states.items()),
        )

    def verdict(self) -> list[str]:
        """What does not hold, in words; empty when all does."""
        return [*self.faults, *self._chain_faults(), *self._money_faults(), *self._rest_faults()]

    # -- what must hold ------------------------------------------------------------------------

    def _chain_faults(self) -> Iterator[str]:
        for terminal in self.terminals:
            name, records = terminal.identity.terminal, terminal.chain()
            extend(opening_head(1, GRANT), records)
            chain = self.books.chains[name]
            if chain.standing is not Standing.ACTIVE:
                yield f"{name}: {chain.standing.name}"
            booked = {
                row.hash
                for place, row in self.books.records.items()
                if place >> 40 == chain.chain and row.state != "quarantined"
            }
            if booked != {sealed.hash for sealed in records}:
                yield f"{name}: {len(records)} records, {len(booked)} in the ledger"
            written = {sealed.record.tid.hex() for sealed in records}
            lost = [each.tid for each in terminal.answered if each.tid and each.tid not in written]
            if lost:
                yield f"{name}: {len(lost)} answers without a record"
            orders = Counter(sealed.record.order for sealed in records if sealed.record.order)
            if any(count > 1 for count in orders.values()):
                yield f"{name}: an order was booked twice"

    def _money_faults(self) -> Iterator[str]:
        by_unit: Counter[str] = Counter()
        for (_, unit), amount in self.books.balances.items():
            by_unit[unit] += amount
        if any(by_unit.values()):
            yield f"entries do not sum to zero: {dict(by_unit)}"
        if any(self.books.entries.values()):
            yield "a record's entries do not balance"
        if self.books.quarantined:
            yield f"{self.books.quarantined} records quarantined"
        everything = self._events()
        for member in sorted(set(self.books.cards.values())):
            right = fold(everything.get(member, []))
            state = self.books.states.get(member, EMPTY)
            if right != state:
                yield f"{member}: state is not the fold of the journals"
            if -self.books.balances["principal:" + member, "CNY"] != right.principal:
                yield f"{member}: balance is not the fold of the journals"

    def _rest_faults(self) -> Iterator[str]:
        for terminal in self.terminals:
            name, sync = terminal.identity.terminal, terminal.relay.state
            if sync.acked != terminal.journal.head.seq:
                yield f"{name}: did not come to rest ({sync.acked} of {sync.head})"
            elif terminal.cache.state.version != self.books.list_version:
                yield f"{name}: has an old member list"

    def _events(self) -> dict[str, list[Event]]:
        events: dict[str, list[Event]] = {}
        for terminal in self.terminals:
            for sealed in terminal.chain():
                record = sealed.record
                if moves_account(record.kind) and record.card is not None:
                    member = self.books.cards[record.card.reference]
                    events.setdefault(member, []).append(event_of(record))
        return events

    # -- what happens --------------------------------------------------------------------------

    def _terminal(self, place: int) -> Terminal:
        name = f"t-{place}"
        key = Ed25519Signer(bytes([place]) * 32)
        head = opening_head(1, GRANT)
        public = key.verifier.public
        self.books.chains[name] = Chain(
            place + 1, name, "site-1", 1, EDDSA, public, head, 0, Standing.ACTIVE, 1
        )
        folder = self.folder / name
        folder.mkdir()
        terminal: Terminal = Terminal(
            folder,
            Identity(name, 1, GRANT, key, key.verifier),
            BUNDLE,
            lambda: self.clock.now_ms,
            self.clock.random,
            lambda: self.clock.chance(self.set.crash),
            Wire(
                lambda number, data: self._send(terminal, number, data),
                lambda base: self._list_to(terminal, base),
            ),
        )
        self.lines[name] = False
        return terminal

    def _later(self, terminal: Terminal, mean_ms: float, call: Callable[[], None]) -> None:
        """What is under way to a terminal arrives only over a line that still stands."""

        def arrive() -> None:
            if terminal.is_on and self.lines[terminal.identity.terminal]:
                call()

        self.clock.soon(mean_ms, arrive)

    def _send(self, terminal: Terminal, number: int, data: bytes) -> bool:
        name = terminal.identity.terminal
        if not self.lines[name]:
            return False
        self._later(terminal, 50, lambda: terminal.feed(sync_flow.Delivered(number)))
        copies = 1 + self.clock.chance(self.set.duplication)
        for _ in range(copies):
            if not self.clock.chance(self.set.loss):
                self.clock.soon(400, lambda: self._arrive(terminal, data))
        return True

    def _arrive(self, terminal: Terminal, data: bytes) -> None:
        """A batch is at the ledger, which may fail before or after its commit."""
        name = terminal.identity.terminal
        made = self.ledger.plan(Batch("site-1", name, data), self.clock.now_ms)
        missing = made.missing.get(self.books.chains[name].chain, ())
        if self.set.watermark_first and made.chains:
            early = self.ledger.watermark(name)
            head = made.chains[0].head
            told = type(early)(
                terminal=name,
                epoch=1,
                upto_seq=head.seq,
                head_hash=head.hash,
                server_ms=0,
            )
            self._later(terminal, 50, lambda: terminal.receive_watermark(told))
        if self.clock.chance(self.set.crash * 3):
            self.ledger = Ledger(self.books)
            return
        self.ledger.commit(made)
        if self.clock.chance(self.set.crash * 3):
            self.ledger = Ledger(self.books)
            return
        self._tell(terminal, missing)
        for each in self.terminals:
            if each.is_on:
                self._list_to(each, each.cache.state.version)

    def _tell(self, terminal: Terminal, missing: tuple[tuple[int, int], ...] = ()) -> None:
        watermark = self.ledger.watermark(terminal.identity.terminal, missing)
        if not self.clock.chance(self.set.loss):
            self._later(terminal, 100, lambda: terminal.receive_watermark(watermark))

    def _list_to(self, terminal: Terminal, base: int) -> None:
        news = self.ledger.changes(terminal.identity.terminal, base)
        if self.set.list_claims:
            claimed = min(news.upto_seq + self.set.list_claims, terminal.journal.head.seq)
            news = type(news)(
                terminal=news.terminal,
                base=news.base,
                list_version=news.list_version,
                epoch=news.epoch,
                upto_seq=claimed,
                members=news.members,
            )
        if not self.clock.chance(self.set.loss):
            self._later(terminal, 150, lambda: terminal.receive_list(news))

    def _line_up(self, terminal: Terminal) -> None:
        self.lines[terminal.identity.terminal] = True
        terminal.feed(sync_flow.LineUp())
        self._tell(terminal)  # retained
        self._list_to(terminal, terminal.cache.state.version)

    def _line_down(self, terminal: Terminal) -> None:
        self.lines[terminal.identity.terminal] = False
        terminal.feed(sync_flow.LineDown())

    def _cut(self, terminal: Terminal) -> None:
        """The line is cut and comes back; again and again until the faults end."""
        if self.clock.now_ms > FAULTS_END_MS:
            return
        if terminal.is_on:
            self._line_down(terminal)
        self.clock.soon(30_000, lambda: self._mend(terminal))

    def _mend(self, terminal: Terminal) -> None:
        if terminal.is_on and not self.lines[terminal.identity.terminal]:
            self._line_up(terminal)
        self.clock.soon(60_000, lambda: self._cut(terminal))

    def _tick(self, terminal: Terminal) -> None:
        terminal.feed(sync_flow.Ticked())
        if terminal.is_on and self.clock.now_ms % 10_000 == 0:
            self._wish(terminal)
        self.clock.after(1_000, lambda: self._tick(terminal))

    def _wish(self, terminal: Terminal) -> None:
        """What a terminal reports from time to time: its list version brings what it lacks."""
        if self.lines[terminal.identity.terminal]:
            self._list_to(terminal, terminal.cache.state.version)

    # -- taps ----------------------------------------------------------------------------------

    def _tap(self, terminal: Terminal) -> None:
        if self.clock.now_ms > FAULTS_END_MS:
            return
        if terminal.is_on:
            self.taps += 1
            self._try_tap(terminal, self._order(terminal), self.clock.random.choice(self.cards))
        self.clock.soon(TAP_EVERY_MS, lambda: self._tap(terminal))

    def _try_tap(self, terminal: Terminal, order: Order, reference: bytes) -> None:
        if not terminal.is_on:
            return
        card = Card(reference, "cpu", CardClass.SECURE)
        if self.set.answer_first and self.clock.chance(self.set.crash):
            terminal.answered.append(
                Answer(order=order.id, state=AnswerState.APPROVED, tid="00" * 16)
            )
            self._power_off(terminal, lambda: None)
            return
        try:
            answer = terminal.tap(order, card)
        except Crash:
            self._power_off(terminal, lambda: self._try_tap(terminal, order, reference))
            return
        if answer is not None and answer.order == order.id:
            self._check_balance(terminal, answer, reference)

    def _power_off(self, terminal: Terminal, again: Callable[[], None]) -> None:
        """The terminal starts again a little later, and the till asks once more."""
        terminal.stop()
        self.lines[terminal.identity.terminal] = False

        def start() -> None:
            if not terminal.is_on:
                terminal.start()
                self._line_up(terminal)
            again()

        self.clock.soon(5_000, start)

    def _check_balance(self, terminal: Terminal, answer: Answer, reference: bytes) -> None:
        """The screen shows the fold of all that the terminal can know: its list and its journal."""
        member = self.books.cards[reference]
        newest = terminal.journal.newest()
        if answer.balance is None or newest is None or newest.record.tid.hex() != answer.tid:
            return
        version = terminal.cache.state.version
        known = [event for at, event in self.books.log[member] if at <= version]
        for sealed in terminal.chain():
            record = sealed.record
            card = record.card.reference if record.card else b""
            if moves_account(record.kind) and self.books.cards.get(card) == member:
                known.append(event_of(record))
        right = fold(known)
        if answer.balance != right.balance:
            self.faults.append(
                f"{terminal.identity.terminal}: showed {answer.balance}, knew {right.balance}"
            )

    def _order(self, terminal: Terminal) -> Order:
        random: Random = self.clock.random
        number = f"o-{terminal.identity.terminal}-{self.taps}"
        draw = random.random()
        if draw < 0.3:
            return top_up(number, random.randrange(1_000, 20_000), "cash")
        if draw < 0.4:
            done = [each for each in terminal.answered if each.state is AnswerState.APPROVED]
            tids = [each.tid for each in done if each.tid and each.tid != "00" * 16]
            if tids:
                return void(number, bytes.fromhex(random.choice(tids)))
        items = (Item("coffee", random.randrange(1, 4)), Item("bun", random.randrange(1, 3)))
        return sale(number, items)
