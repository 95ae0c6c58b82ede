"""The story: customers at three counters, and what goes wrong meanwhile, on one compressed clock.

Customers are served by a thread for each counter; everything that starts or kills a process is
done by the thread that calls ``run``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import zip_longest
from random import Random

from protocol.rules.bundle import Bundle
from provisioning.demo import catalogue
from provisioning.demo.clock import DayClock
from provisioning.demo.counter import CHANGED_MIND, Counter
from provisioning.demo.faults import TORN_KIND, crash_in_tap, deliver_twice, tear_in_debit
from provisioning.demo.opening import is_current, now_ms, open_shop, publish
from provisioning.demo.plan import CUT_FROM, CUT_SITE, MEMBER_CARDS, SITES, TERMINALS, PlannedTap
from provisioning.demo.readings import holds_bundle
from provisioning.demo.residents import TENANT
from provisioning.demo.town import Town
from provisioning.demo.verdict import Story
from provisioning.errors import ProvisioningError
from provisioning.processes import wait_until

# A counter serves a customer in about 0.1 s; the day leaves it half as much again.
SECONDS_A_TAP = 0.05
# Outages and restarts take their own time, however few customers come.
DAY_S_MIN = 13.0
# From publishing to being effective: the bundle has to reach every terminal before.
LEAD_MS = 4_000
# The terminals' way back after the last fault; much more than it takes.
DRAIN_S = 60.0
# Who is in the middle of a tap when the power goes.
REPEATS = "t-0003"
CRASHES, CRASH_AT = "t-0001", 0.60
# Whose card leaves while it pays.
TEARS, TEAR_AT = "t-0001", 0.20


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that happens at ``at`` (part of the day)."""

    at: float
    happens: Callable[[], str]


class Day:
    """One day in a town. ``said`` is told what happens, ``served`` after each tap."""

    def __init__(
        self,
        town: Town,
        plan: dict[str, list[PlannedTap]],
        seed: int,
        said: Callable[[str], None],
        served: Callable[[], None],
    ) -> None:
        self.counters = {name: Counter(town.terminals[name], town.cards) for name in TERMINALS}
        self.bundles: list[Bundle] = []
        self.reconnect_s = self.drain_s = 0.0
        self._town, self._random = town, Random(seed)
        self._said, self._served = said, served
        self._crash_tap, plan = _taken_out(plan, CRASHES, CRASH_AT)
        tear, self._plan = _taken_out(plan, TEARS, TEAR_AT)
        carriers = (name for name, carried in MEMBER_CARDS.items() if carried.kind == TORN_KIND)
        self._tear_tap = replace(tear, card=next(carriers), order=CHANGED_MIND)
        taps = sum(len(taps) for taps in plan.values())
        self._length_s = max(DAY_S_MIN, taps * SECONDS_A_TAP)
        self._clock = DayClock(self._length_s, 0.0)
        self._stop = threading.Event()
        self._failed: list[ProvisioningError] = []

    def run(self) -> Story:
        """Live through the day; return what the people at the counters know in the evening."""
        self.bundles.append(open_shop(self._town))
        incidents = self._incidents()
        self._clock = DayClock(self._length_s, incidents[0].at)
        customers = [
            threading.Thread(target=self._serve, args=(name, taps), daemon=True)
            for name, taps in self._plan.items()
        ]
        for thread in customers:
            thread.start()
        try:
            for incident, following in zip_longest(incidents, incidents[1:]):
                self._clock.wait_for(incident.at, self._stop)
                self._check()
                self._clock.go_on(following.at if following else 1.0)
                begun = str(self._clock)
                self._said(f"{begun}  {incident.happens()}")
            for thread in customers:
                thread.join()
        finally:
            self._stop.set()
        self._check()
        self._heal()
        return self._story()

    def close(self) -> None:
        """Give the connections back."""
        for counter in self.counters.values():
            counter.close()

    def stages_ms(self) -> dict[str, list[float]]:
        """Stage -> milliseconds of each tap."""
        stages: dict[str, list[float]] = {}
        for counter in self.counters.values():
            for stage, durations in counter.book.stages_ms.items():
                stages.setdefault(stage, []).extend(durations)
        return stages

    def _incidents(self) -> list[Incident]:
        town = self._town
        return [
            Incident(0.14, self._raise_prices),
            Incident(TEAR_AT, self._tear),
            Incident(0.28, lambda: _done(town.broker.kill, "the broker is killed")),
            Incident(0.38, lambda: _done(town.start_broker, "the broker is back")),
            Incident(0.43, lambda: _done(town.cloud.kill, "the cloud is killed")),
            Incident(0.46, lambda: _done(town.start_cloud, "the cloud is back")),
            Incident(0.56, self._deliver_twice),
            Incident(CRASH_AT, self._crash),
            Incident(CUT_FROM, lambda: _done(town.lines[CUT_SITE].cut, f"{CUT_SITE} is cut off")),
        ]

    def _raise_prices(self) -> str:
        start, effective = time.monotonic(), self._clock.after(LEAD_MS / 1000)
        bundle = catalogue.raised(TENANT, now_ms() + LEAD_MS)
        publish(self._town, bundle)
        self.bundles.append(bundle)
        folders = [terminal.folder for terminal in self._town.terminals.values()]
        wait_until(
            lambda: all(holds_bundle(folder, bundle.number) for folder in folders),
            DRAIN_S,
            "the new prices at every terminal",
        )
        took_s = time.monotonic() - start
        return f"new prices, on every terminal in {took_s:.1f} s, are effective at {effective}"

    def _deliver_twice(self) -> str:
        terminal = self._town.terminals[REPEATS]
        count = deliver_twice(self._town, terminal)
        return f"{count} records of {terminal.at.terminal} are delivered a second time"

    def _tear(self) -> str:
        counter = self.counters[TEARS]
        tear_in_debit(counter, self._tear_tap)
        self._served()
        state = counter.book.answers[self._tear_tap.name].state
        return f"a card leaves {TEARS} while it pays, and comes back: {state}, paid once"

    def _crash(self) -> str:
        counter = self.counters[CRASHES]
        crash_in_tap(self._town, counter, self._crash_tap, self._random)
        self._served()
        state = counter.book.answers[self._crash_tap.name].state
        return f"the agent of {CRASHES} is killed in a tap; the same order again: {state}"

    def _heal(self) -> None:
        start = time.monotonic()
        self._town.lines[CUT_SITE].mend()
        self._said(f"{self._clock}  {CUT_SITE} is connected again")
        away = [self.counters[name] for name, site in SITES.items() if site == CUT_SITE]
        wait_until(lambda: all(each.is_online() for each in away), DRAIN_S, "the line")
        self.reconnect_s = time.monotonic() - start
        wait_until(
            lambda: is_current(self._town),
            DRAIN_S,
            "every record in the ledger, every list current",
        )
        self.drain_s = time.monotonic() - start

    def _serve(self, name: str, taps: list[PlannedTap]) -> None:
        """One counter's day, on its own thread."""
        try:
            for tap in taps:
                self._clock.wait_for(tap.at, self._stop)
                if self._stop.is_set():
                    return
                self.counters[name].serve(tap)
                self._served()
        except ProvisioningError as error:
            self._failed.append(error)
            self._stop.set()

    def _check(self) -> None:
        if self._failed:
            raise self._failed[0]

    def _story(self) -> Story:
        books = [counter.book for counter in self.counters.values()]
        answers = [answer for book in books for answer in book.answers.values()]
        cards = self._town.cards.values()
        return Story(
            taps=len(answers) + sum(book.looks for book in books),
            answered=tuple(bytes.fromhex(answer.tid) for answer in answers),
            members={card.reference: card.member for card in cards if card.member},
            bundles=tuple(self.bundles),
            purses={card.reference: paid for card in cards if (paid := card.paid()) is not None},
        )


def _done(act: Callable[[], None], what: str) -> str:
    act()
    return what


def _taken_out(
    plan: dict[str, list[PlannedTap]], terminal: str, at: float
) -> tuple[PlannedTap, dict[str, list[PlannedTap]]]:
    """Take the first purchase from ``at`` on out of one counter's plan: something befalls it."""
    taps = plan[terminal]
    found = next(tap for tap in taps if tap.at >= at and tap.order is not None)
    return found, {**plan, terminal: [tap for tap in taps if tap is not found]}
