"""A few terminals, a lossy line, a ledger that crashes: one seed is one history.

First everything fails at random, then everything is healed and must come to rest. What must hold
then is written in ``verdict``: an empty list is a world without a fault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from msgspec import structs

from cloud.ledger.chains import Batch
from edge import sync_flow
from edge.journal import Identity
from protocol import member_list
from protocol.membership.tiers import Tier
from protocol.risk.limits import OfflineLimits
from protocol.rules.bundle import Bundle, Product, Rule, issue
from protocol.shadow import Reported
from protocol.signing import Ed25519Signer
from protocol.topics import Down
from tests.protocol.world import CLOUD_KEY as RULES_KEY
from tests.simulation import verdict
from tests.simulation.clockwork import Clockwork
from tests.simulation.gateway import CLOUD_KEY, TRUST, Gateway
from tests.simulation.ledger import SITE, Books, Ledger, grant_of
from tests.simulation.settings import Settings
from tests.simulation.shop import Shop
from tests.simulation.terminal import Terminal, Wire

TERMINALS, MEMBERS = 4, 6
FAULTS_END_MS = 300_000
# Resends slow down to one a minute: two of them, and the answer, must fit.
REST_MS = FAULTS_END_MS + 300_000
# A line that stands loses no report (QoS 1), and here it does: so terminals repeat theirs.
TICK_MS, REPORT_EVERY_MS = 1_000, 30_000
CUT_EVERY_MS, MENDED_MS, POWER_OFF_MS = 60_000, 30_000, 5_000
# How long a message is on its way, and a word of the cloud that comes twice.
PUBACK_MS, UP_MS, DOWN_MS, REPEATED_MS = 50, 400, 150, 5_000
# A member list that the line did not take whole goes on after this.
FEED_PAUSE_MS = 250
# Members that one message of a list takes: so few that a list has several, or all.
PIECE_MEMBERS = (2, 2, MEMBERS)
# How often operators grant a terminal its next epoch, and at most how many.
GRANT_EVERY_MS, GRANTS_MAX = 90_000, 2
# How often a terminal's cache is gone after a power failure.
CACHE_LOSS = 0.2
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
    RULES_KEY,
)


class World:
    """One seed; ``run`` it, then ask for the ``verdict``."""

    def __init__(self, seed: int, folder: Path, settings: Settings | None = None) -> None:
        self.clock = Clockwork(seed)
        random = self.clock.random
        drawn = Settings(random.uniform(0, 0.3), random.uniform(0, 0.5), random.uniform(0, 0.02))
        self.set = replace(settings or drawn)
        cards = [random.randbytes(16) for _ in range(MEMBERS + 2)]
        owners = {card: f"m-{place % MEMBERS}" for place, card in enumerate(cards)}
        self.books = Books(BUNDLE, owners, random.choice(PIECE_MEMBERS))
        self._folder = folder
        self._lines: dict[str, bool] = {}
        self._retained: dict[str, bytes] = {}
        self._feed_waits = False
        self.terminals = [self._terminal(f"t-{place}") for place in range(TERMINALS)]
        self._shops = [
            Shop(each, self.clock, self.books, self.set, self._power_off) for each in self.terminals
        ]
        self._start_cloud()

    @property
    def taps(self) -> int:
        """How many cards were held to a terminal that was on."""
        return sum(shop.taps for shop in self._shops)

    def run(self) -> None:
        """Faults, then peace, then rest."""
        for terminal, shop in zip(self.terminals, self._shops, strict=True):
            self._start(terminal)
            shop.open(FAULTS_END_MS)
            self._soon(CUT_EVERY_MS, self._cut, terminal)
            self._soon(GRANT_EVERY_MS, self._grant, terminal)
            self._tick(terminal)
        self.clock.run(FAULTS_END_MS)
        self.set.heal()
        for terminal in self.terminals:
            self._start(terminal)
        self.clock.run(REST_MS)

    def close(self) -> None:
        """Give the terminals' files back; the verdict is asked for before."""
        for terminal in self.terminals:
            terminal.close()

    def digest(self) -> tuple[object, ...]:
        """Everything that two runs of one seed must have in common."""
        return (
            self.taps,
            sorted(self.books.balances.items()),
            sorted((place, row.hash) for place, row in self.books.records.items()),
            sorted(self.books.states.items()),
            sorted(self.books.chains.items()),
        )

    def verdict(self) -> list[str]:
        """What does not hold, in words; empty when all does."""
        shown = [fault for shop in self._shops for fault in shop.faults]
        return [*shown, *verdict.faults(self.books, self.terminals)]

    # -- terminals and their operators ---------------------------------------------------------

    def _terminal(self, name: str) -> Terminal:
        folder = self._folder / name
        folder.mkdir()
        self._lines[name] = False
        terminal: Terminal = Terminal(
            folder,
            self._granted(name, trusted=True),
            BUNDLE,
            self.clock,
            lambda: self.clock.chance(self.set.crash),
            Wire(
                lambda number, data: self._send(terminal, number, data),
                lambda reported: self._report(terminal, reported),
            ),
        )
        return terminal

    def _granted(self, name: str, *, trusted: bool) -> Identity:
        """Grant a terminal its next epoch, with a key of its own."""
        key = Ed25519Signer(self.clock.random.randbytes(32))
        now_ms = self.clock.wall_ms()
        epoch = self.books.grant(name, key.verifier.public, now_ms, trusted=trusted)
        return Identity(name, epoch, grant_of(epoch), key, key.verifier)

    def _grant(self, terminal: Terminal) -> None:
        """The old key's epoch ends. What it has not sent comes first, from the same journal.

        It is taken from a key that is trusted: of another, who knows what the ledger has not got?
        """
        if self.clock.now_ms > FAULTS_END_MS:
            return
        name = terminal.identity.terminal
        self._stop(terminal)
        chains = [chain for chain in self.books.chains.values() if chain.terminal == name]
        is_handed_in = sum(chain.head.seq for chain in chains) == len(terminal.records())
        trusted = not is_handed_in or self.clock.chance(0.5)
        terminal.identity = self._granted(name, trusted=trusted)
        self.gateway.tell_retained(name)
        self._soon(POWER_OFF_MS, self._switch_on, terminal)
        if terminal.identity.epoch <= GRANTS_MAX:
            self._soon(GRANT_EVERY_MS, self._grant, terminal)

    def _power_off(self, terminal: Terminal, again: Callable[[], None]) -> None:
        """The terminal starts again a little later, and the till asks once more."""
        self._stop(terminal)
        if self.clock.chance(CACHE_LOSS):
            terminal.lose_cache()

        def start() -> None:
            self._start(terminal)
            again()

        self.clock.soon(POWER_OFF_MS, start)

    def _stop(self, terminal: Terminal) -> None:
        if terminal.is_on:
            terminal.stop()
        self._lines[terminal.identity.terminal] = False

    def _switch_on(self, terminal: Terminal) -> None:
        """Cards are served before the line stands."""
        if not terminal.is_on:
            terminal.start()
        self._soon(MENDED_MS, self._start, terminal)

    def _start(self, terminal: Terminal) -> None:
        """Whatever is off goes on, and whatever is down comes up."""
        if not terminal.is_on:
            terminal.start()
        if not self._lines[terminal.identity.terminal]:
            self._line_up(terminal)

    # -- the cloud -----------------------------------------------------------------------------

    def _start_cloud(self) -> None:
        """Only what is on its disk, and with the broker, is left of the one before."""
        self.ledger = Ledger(self.books)
        self.gateway = Gateway(self.books, self.clock.wall_ms, self._say)

    def _arrive(self, terminal: Terminal, data: bytes) -> None:
        """A batch is at the ledger, which may fail before or after its commit."""
        batch = Batch(SITE, terminal.identity.terminal, data)
        made = self.ledger.plan(batch, self.clock.wall_ms())
        if self.set.watermark_first:
            self.gateway.tell_marks(made)
        if self.clock.chance(self.set.crash * 3):
            self._start_cloud()
            return
        self.ledger.commit(made)
        if self.clock.chance(self.set.crash * 3):
            self._start_cloud()
            return
        self.gateway.tell_marks(made)
        self._feed()

    def _hear(self, terminal: Terminal, reported: Reported) -> None:
        self.books.reported[terminal.identity.terminal] = reported
        self.gateway.heard(terminal.identity.terminal, reported)
        self._feed()

    def _feed(self) -> None:
        """Tell of changed members; what the line does not take now is told a little later."""
        if not self.gateway.tell_members() and not self._feed_waits:
            self._feed_waits = True
            self.clock.after(FEED_PAUSE_MS, self._feed_on)

    def _feed_on(self) -> None:
        self._feed_waits = False
        self._feed()

    # -- the line ------------------------------------------------------------------------------

    def _soon(self, mean_ms: float, call: Callable[[Terminal], None], terminal: Terminal) -> None:
        self.clock.soon(mean_ms, lambda: call(terminal))

    def _later(self, terminal: Terminal, mean_ms: float, call: Callable[[], None]) -> None:
        """What is under way to a terminal arrives only over a line that still stands."""

        def arrive() -> None:
            if terminal.is_on and self._lines[terminal.identity.terminal]:
                call()

        self.clock.soon(mean_ms, arrive)

    def _deliver(self, terminal: Terminal, leaf: Down, data: bytes) -> None:
        """What the cloud signed may come at once, late, twice or never."""
        for mean_ms in (DOWN_MS, REPEATED_MS)[: 1 + self.clock.chance(self.set.duplication)]:
            if not self.clock.chance(self.set.loss):
                self._later(terminal, mean_ms, lambda: terminal.receive(leaf, data))

    def _send(self, terminal: Terminal, number: int, data: bytes) -> bool:
        if not self._lines[terminal.identity.terminal]:
            return False
        # The broker's word is never lost on a line that stands (MQTT 3.1.1, section 4.3.2).
        self._later(terminal, PUBACK_MS, lambda: terminal.feed(sync_flow.Delivered(number)))
        copies = 1 + self.clock.chance(self.set.duplication)
        for _ in range(copies):
            if not self.clock.chance(self.set.loss):
                self.clock.soon(UP_MS, lambda: self._arrive(terminal, data))
        return True

    def _report(self, terminal: Terminal, reported: Reported) -> bool:
        if not self._lines[terminal.identity.terminal]:
            return False
        if not self.clock.chance(self.set.loss):
            self.clock.soon(UP_MS, lambda: self._hear(terminal, reported))
        return True

    def _say(self, name: str, leaf: Down, data: bytes, *, retain: bool) -> bool:
        """The broker takes a word of the cloud, or does not."""
        if self.clock.chance(self.set.loss / 3):
            return False
        if retain:
            self._retained[name] = data
        terminal = next(each for each in self.terminals if each.identity.terminal == name)
        if leaf is Down.MEMBERS and self.set.list_claims:
            data = self._exaggerated(terminal, data)
        self._deliver(terminal, leaf, data)
        return True

    def _exaggerated(self, terminal: Terminal, data: bytes) -> bytes:
        news = member_list.accept(data, TRUST.cloud)
        if not terminal.is_on:
            return data
        claimed = min(news.upto_seq + self.set.list_claims, terminal.journal.sending_seq)
        return member_list.issue(structs.replace(news, upto_seq=claimed), CLOUD_KEY)

    def _line_up(self, terminal: Terminal) -> None:
        name = terminal.identity.terminal
        self._lines[name] = True
        terminal.line_up()
        retained = self._retained.get(name)
        if retained is not None:
            self._deliver(terminal, Down.ACK, retained)

    def _cut(self, terminal: Terminal) -> None:
        """The line is cut and comes back; again and again until the faults end."""
        if self.clock.now_ms > FAULTS_END_MS:
            return
        self._lines[terminal.identity.terminal] = False
        terminal.feed(sync_flow.LineDown())
        self._soon(MENDED_MS, self._mend, terminal)

    def _mend(self, terminal: Terminal) -> None:
        if terminal.is_on:
            self._start(terminal)
        self._soon(CUT_EVERY_MS, self._cut, terminal)

    def _tick(self, terminal: Terminal) -> None:
        terminal.feed(sync_flow.Ticked())
        if self.clock.now_ms % REPORT_EVERY_MS == 0:
            terminal.report()
        self.clock.after(TICK_MS, lambda: self._tick(terminal))
