"""Bad lines between terminal and broker: everything drains all the same, and nothing doubles."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

import pytest

from edge.link import KEEPALIVE_S
from provisioning.demo.plan import SITES
from tests.services.broker import BOTH_BROKERS
from tests.system.counter import Counter
from tests.system.fault_line import FaultLine
from tests.system.rig import DRAIN_S, Rig, new_seed

# One on each side of town: each has a line of its own.
NAMES = ("t-0001", "t-0003")
# A terminal waits twice as long after each failure, so its agent begins anew after some breaks.
BREAKS, LIVES = 4, 3
# From within the TLS handshake to some batches later.
BREAK_BYTES_MAX = 12_000
# A tap now and then while a line is waited for.
PACE_S = 0.05
PAUSE_S = 0.04
TAPS = 20
# A terminal asks a silent line after KEEPALIVE_S, and gives it up after as long again.
NOTICED_S = 2 * KEEPALIVE_S + DRAIN_S

_log = logging.getLogger(__name__)


class Lines:
    """A rig with fault lines, and a counter at each end."""

    def __init__(self, rig: Rig, lines: dict[str, FaultLine], random: Random) -> None:
        self.rig, self.lines, self.random = rig, lines, random
        self.counters = {name: Counter(rig, name, Random(random.random())) for name in NAMES}

    def open(self) -> None:
        """Have the members pay in everywhere."""
        for counter in self.counters.values():
            counter.open()
        self.rig.wait_drained()

    def line(self, name: str) -> FaultLine:
        """The line of a terminal."""
        return self.lines[SITES[name]]

    def close(self) -> None:
        """Give the counters' connections back."""
        for counter in self.counters.values():
            counter.close()

    def tap_behind(self, line: FaultLine) -> None:
        """Have taps everywhere while the second terminal's line hangs."""
        line.hang()
        for _ in range(TAPS):
            for counter in self.counters.values():
                counter.tap()
        assert not self.rig.is_receipted(NAMES[1])

    def check(self, timeout_s: float = DRAIN_S) -> None:
        """Everything drains, and journals and ledger say the same."""
        self.rig.wait_drained(timeout_s)
        told = {
            order: answer for each in self.counters.values() for order, answer in each.told.items()
        }
        verdict = self.rig.verdict(told)
        assert verdict.holds, verdict
        assert verdict.records == verdict.posted > len(told)


@contextmanager
def _lines(folder: Path, broker: str) -> Iterator[Lines]:
    seed = new_seed()
    _log.warning("%s, TAPLEDGER_SEED=%s", broker, seed)
    rig = Rig(folder / "town", broker, NAMES)
    for line in rig.lines.values():
        line.close()
    lines = {site: FaultLine(rig.broker_port) for site in rig.lines}
    rig.lines = dict(lines)
    try:
        rig.open()
        with closing(Lines(rig, lines, Random(seed))) as town:
            town.open()
            yield town
    finally:
        rig.close()


def _through_breaks(counter: Counter, line: FaultLine) -> None:
    """Tap while the line breaks at random bytes."""
    for _ in range(BREAKS):
        line.break_after(counter.random.randrange(BREAK_BYTES_MAX))
        while not line.broke.wait(PACE_S):
            counter.tap()


def _through_silence(counter: Counter, line: FaultLine) -> None:
    """Tap at a terminal whose line is half-open: it has no way to know yet."""
    line.half_open()
    for _ in range(TAPS):
        counter.tap()
    assert not counter.rig.is_receipted(counter.terminal.at.terminal)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("broker", BOTH_BROKERS)
def test_a_line_that_breaks_in_messages_and_one_that_is_half_open(
    tmp_path: Path, broker: str
) -> None:
    with _lines(tmp_path, broker) as town, ThreadPoolExecutor(1) as pool:
        breaking, silent = NAMES
        counter = town.counters[breaking]
        silence = pool.submit(_through_silence, town.counters[silent], town.line(silent))
        for life in range(LIVES):
            if life:
                counter.terminal.agent.stop()
                town.rig.restart(counter.terminal)
            _through_breaks(counter, town.line(breaking))
        silence.result()
        town.check(NOTICED_S)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("broker", BOTH_BROKERS)
def test_a_slow_line_and_one_that_hangs(tmp_path: Path, broker: str) -> None:
    with _lines(tmp_path, broker) as town:
        slow, hanging = (town.line(name) for name in NAMES)
        slow.slow(PAUSE_S)
        town.tap_behind(hanging)
        hanging.go_on()
        town.check()
        town.tap_behind(hanging)
        # All that is on its way is lost, and no later record shows the gap.
        hanging.cut()
        hanging.go_on()
        hanging.mend()
        town.check()
