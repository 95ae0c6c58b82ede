"""The supervisor's own decisions: back-off, one word for one outage, health, and an end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from drivers.errors import DriverError, ReaderLost, ReaderRefused
from drivers.reader import Presented, Reader, ReaderKind, ReaderSettings
from drivers.supervise import BackOff, Health, Supervisor
from tests.drivers.rigs import BACK_OFF, rig
from tests.drivers.world import SOON_S, Log, examiner, member_card
from tests.services.pcscd import Pcscd


class EmptyReader:
    """A reader before which no card ever comes."""

    def wait_for_card(self, timeout_s: float) -> Presented | None:
        """See Reader."""
        time.sleep(min(timeout_s, 0.005))
        return None

    def transmit(self, command: bytes, deadline_s: float) -> bytes:
        """See Reader."""
        raise NotImplementedError(command, deadline_s)

    def wait_for_removal(self, timeout_s: float) -> bool:
        """See Reader."""
        raise NotImplementedError(timeout_s)

    def close(self) -> None:
        """See Reader."""


class Opener:
    """Fails to open as often as it is told, then opens."""

    def __init__(self, *failures: type[DriverError]) -> None:
        self.failures = list(failures)
        self.opened = threading.Event()

    def __call__(self, settings: ReaderSettings) -> Reader:
        del settings
        if self.failures:
            raise self.failures.pop(0)
        self.opened.set()
        return EmptyReader()


def watch(opener: Callable[[ReaderSettings], Reader], log: Log) -> Supervisor:
    """A started supervisor of that reader."""
    kind = ReaderKind("test", opener)
    supervisor = Supervisor(kind, ReaderSettings(), examiner(), log, BACK_OFF)
    supervisor.start()
    return supervisor


def health_of(supervisor: Supervisor) -> Health:
    """How the device is now."""
    return supervisor.health


def test_the_pause_doubles_up_to_its_limit() -> None:
    delays = [BackOff(0.2, 5.0).delay_s(failures) for failures in (1, 2, 3, 5, 6, 10_000)]
    assert delays == [0.2, 0.4, 0.8, 3.2, 5.0, 5.0]


def test_an_outage_is_told_once_however_many_attempts_it_takes() -> None:
    log, opener = Log(), Opener(ReaderLost, ReaderLost, ReaderRefused, ReaderRefused, ReaderLost)
    supervisor = watch(opener, log)
    assert opener.opened.wait(SOON_S)
    supervisor.stop()
    assert log.heard == ["reader_lost", "reader_refused", "reader_lost"]


def test_the_loop_is_seen_to_turn_and_stops_when_asked() -> None:
    opener = Opener()
    supervisor = watch(opener, Log())
    assert opener.opened.wait(SOON_S)
    before, end = supervisor.turned_at, time.monotonic() + SOON_S
    while supervisor.turned_at == before:
        assert time.monotonic() < end
        time.sleep(0.001)
    assert health_of(supervisor) is Health.READY
    supervisor.stop()
    assert health_of(supervisor) is Health.STOPPED


def test_a_supervisor_that_was_never_started_can_be_stopped() -> None:
    Supervisor(ReaderKind("test", Opener()), ReaderSettings(), examiner(), Log()).stop()


def test_health_follows_the_card() -> None:
    def no_pcscd() -> Pcscd:
        pytest.fail("this carrier needs none")

    built = rig("pn532", no_pcscd)
    with built.supervised() as (log, supervisor):
        built.carrier.insert(member_card(1))
        log.wait_for("card")
        assert health_of(supervisor) is Health.CARD
        built.carrier.remove()
        log.wait_for("card", "removed")
    built.carrier.close()
    assert health_of(supervisor) is Health.STOPPED
