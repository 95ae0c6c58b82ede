"""kill -9 of every program at random instants, taps going on: nothing is lost, nothing doubled.

A series draws its victims and instants from one seed, which a failure shows; TAPLEDGER_SEED repeats
them (the machine's own timing it cannot repeat).
"""

from __future__ import annotations

import logging
import time
from collections import Counter as Tally
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, Protocol

import pytest

from provisioning.demo.till import WAITING, Answer, Till
from provisioning.errors import CounterSilent
from tests.services.postgres import Postgres, running_postgres
from tests.system.counter import CountedCard, Counter
from tests.system.rig import Rig, new_seed, running_rig

# A kill comes so long after the card has answered a command that is drawn. After the last one
# comes the record, after some 2 ms, then the answer, after 30 ms the ledger's receipt.
IDENTIFY_S, BOUNDS_S = 0.002, (0.003, 0.01, 0.06)
# Taps before a killed server is back.
TAPS_WITHOUT = 2

_log = logging.getLogger(__name__)


class Series(NamedTuple):
    """How many kills of whom, and where."""

    broker: str
    database: str
    agents: int
    brokers: int
    clouds: int
    databases: int = 0


class Server(Protocol):
    """What may die and come back."""

    def kill(self) -> None: ...
    def start(self) -> None: ...


def _series(series: Series, name: str = "") -> Any:
    marks = [getattr(pytest.mark, f"broker_{series.broker}")]
    if series.database == "postgresql":
        marks.append(pytest.mark.postgres)
    return pytest.param(series, marks=marks, id=f"{series.broker}-{series.database}{name}")


# On NATS and SQLite 50 agents, 10 brokers, 10 clouds, in two series.
SERIES = [
    _series(Series("nats", "sqlite", agents=25, brokers=5, clouds=5), "-1"),
    _series(Series("nats", "sqlite", agents=25, brokers=5, clouds=5), "-2"),
    _series(Series("mosquitto", "sqlite", agents=6, brokers=3, clouds=2)),
    _series(Series("nats", "postgresql", agents=6, brokers=2, clouds=3, databases=3)),
]


class Shaken(Counter):
    """A counter at which programs die. ``stages``: where in a tap the agent died, how often."""

    def __init__(self, rig: Rig, name: str, random: Random) -> None:
        super().__init__(rig, name, random)
        self.stages: Tally[str] = Tally()
        self._ear = self.terminal.till()
        self._pool = ThreadPoolExecutor(1)

    def close(self) -> None:
        """Give the connections back."""
        super().close()
        self._ear.close()
        self._pool.shutdown()

    def kill_agent(self) -> None:
        """Kill it in a tap; the till asks for the same order again."""
        name, order, card = self.next_order()
        assert self.till.place(name, order).state == WAITING
        hears = self._pool.submit(_heard, self._ear, name)
        self.terminal.device.insert(card)
        self._wait_instant(card)
        self.terminal.agent.kill()
        self.terminal.device.remove()
        is_booked, heard = self._is_booked(name), hears.result()
        commands = card.commands
        self.rig.restart(self.terminal)
        again = self.till.place(name, order)
        if again.state == WAITING:
            assert heard is None, f"{name} was answered and is forgotten"
            self.terminal.device.insert(card)
            self.told[name] = self.answer(name, card)
            stage = "identify" if commands < self.commands else "decide, append"
        else:
            assert heard is None or _said(heard) == _said(again)
            self.told[name] = again
            stage = "publish" if heard else "answer"
            stage = "receipt" if is_booked else stage
        self.stages[stage] += 1

    def kill_server(self, server: Server, wait_back: Callable[[], None]) -> None:
        """Kill broker, cloud or database in a tap; taps go on without it."""
        self.rig.wait_connected()  # a kill hits nothing where no line stands

        def kill(card: CountedCard) -> None:
            self._wait_instant(card)
            server.kill()

        self.tap(kill)
        server.start()
        for _ in range(TAPS_WITHOUT):
            self.tap()
        wait_back()

    def _wait_instant(self, card: CountedCard) -> None:
        """Wait for a random instant of the tap: a third in the dialogue with the card."""
        early = self.random.random() < 1 / 3
        card.wait(self.random.randrange(self.commands) if early else self.commands)
        bound = IDENTIFY_S if early else self.random.choice(BOUNDS_S)
        time.sleep(self.random.uniform(0, bound))

    def _is_booked(self, order: str) -> bool:
        with self.rig.reading() as disk:
            rows = disk.execute("SELECT data FROM records ORDER BY place DESC LIMIT 3").fetchall()
        return any(order.encode() in bytes(data) for (data,) in rows)


def _heard(till: Till, name: str) -> Answer | None:
    """What the till is told before the agent dies, if anything."""
    try:
        return till.answer(name)
    except CounterSilent:
        return None


def _said(answer: Answer) -> tuple[object, ...]:
    return answer.order, answer.state, answer.code, answer.tid, answer.balance


def _live_through(series: Series, counter: Shaken, postgres: Postgres | None) -> None:
    rig = counter.rig
    kills: list[tuple[int, Callable[[], None]]] = [
        (series.agents, counter.kill_agent),
        (series.brokers, lambda: counter.kill_server(rig.broker, rig.wait_broker)),
        (series.clouds, lambda: counter.kill_server(rig.cloud, rig.wait_cloud)),
    ]
    if postgres:
        kills.append((series.databases, lambda: counter.kill_server(postgres, lambda: None)))
    victims = [kill for count, kill in kills for _ in range(count)]
    counter.random.shuffle(victims)
    counter.open()
    for kill in victims:
        kill()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("series", SERIES)
def test_nothing_is_lost_or_doubled(
    series: Series, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    seed = new_seed()
    record_property("seed", seed)
    _log.warning("%s, TAPLEDGER_SEED=%s", series, seed)
    with ExitStack() as stack:
        postgres = None
        if series.database == "postgresql":
            postgres = stack.enter_context(running_postgres())
        url = postgres.new_database() if postgres else ""
        rig = stack.enter_context(running_rig(tmp_path / "town", series.broker, database=url))
        counter = stack.enter_context(closing(Shaken(rig, "t-0001", Random(seed))))
        begun = time.monotonic()
        _live_through(series, counter, postgres)
        lived = time.monotonic()
        rig.wait_drained()
        drained_s = time.monotonic() - lived
        verdict = rig.verdict(counter.told)
    record_property("stages", dict(counter.stages))
    _log.warning("%.1f s, drained after %.1f s more", lived - begun, drained_s)
    _log.warning("agents died in %s", dict(counter.stages))
    assert verdict.holds, verdict
    assert verdict.records == verdict.posted > len(counter.told)
    assert counter.stages.total() == series.agents
