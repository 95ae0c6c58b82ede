"""What only PC/SC has: a daemon that dies, readers that must not be used, T=0, other programs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import pytest

from drivers.errors import ReaderLost, ReaderRefused
from drivers.reader import ReaderSettings
from drivers.readers.pcsc import READER
from drivers.supervise import Health, Supervisor
from drivers.virtual.vpcd import VpcdCarrier
from tests.drivers.rigs import Rig, rig
from tests.drivers.world import SOON_S, examiner, member_card, reference
from tests.services.pcscd import Pcscd

pytestmark = pytest.mark.pcscd


@pytest.fixture(name="slot")
def _slot(pcscd: Pcscd) -> Iterator[Rig]:
    built = rig("pcsc", lambda: pcscd)
    yield built
    built.carrier.close()


def wait_for_health(supervisor: Supervisor, health: Health) -> None:
    """Return once the device is so."""
    end = time.monotonic() + SOON_S
    while supervisor.health is not health:
        assert time.monotonic() < end, supervisor.health
        time.sleep(0.005)


def test_a_killed_and_restarted_pcscd_is_survived(slot: Rig, pcscd: Pcscd) -> None:
    with slot.supervised() as (log, supervisor):
        slot.carrier.insert(member_card(1))
        log.wait_for("card")
        pcscd.kill()
        wait_for_health(supervisor, Health.LOST)
        log.wait_for("card", "reader_lost")
        slot.carrier.remove()
        pcscd.start()
        wait_for_health(supervisor, Health.READY)
        slot.carrier.insert(member_card(2))
        log.wait_for("card", "reader_lost", "card")
        assert log.identities[-1].reference == reference(2)


def test_a_pcscd_that_starts_later_is_found(slot: Rig, pcscd: Pcscd) -> None:
    pcscd.kill()
    try:
        with pytest.raises(ReaderLost, match="reach pcscd"):
            READER.open(slot.settings)
        with slot.supervised() as (log, _):
            log.wait_for("reader_lost")
            pcscd.start()
            slot.carrier.insert(member_card(1))
            log.wait_for("reader_lost", "card")
    finally:
        pcscd.kill()
        pcscd.start()


def test_a_t0_card_is_read(slot: Rig) -> None:
    with slot.supervised() as (log, _):
        slot.carrier.insert(member_card(1, t0=True))
        log.wait_for("card")
        assert log.identities[0].reference == reference(1)


@pytest.mark.parametrize(
    "settings",
    [
        ReaderSettings(),
        ReaderSettings(allow_virtual=True, names=("ACS",)),
        ReaderSettings(allow_virtual=True, path="Virtual PCD 00 07"),
    ],
)
def test_a_reader_that_is_not_allowed_is_not_used(slot: Rig, settings: ReaderSettings) -> None:
    slot.carrier.insert(member_card(1))
    with pytest.raises(ReaderRefused, match="Virtual PCD 00 00"):
        READER.open(settings)


def test_a_card_that_another_program_holds_is_read_when_it_lets_go(slot: Rig) -> None:
    slot.carrier.insert(member_card(1))
    with slot.reader() as first:
        while not first.wait_for_card(1.0):
            pass
        with slot.supervised() as (log, _):
            log.wait_for("reader_lost")
            first.close()
            log.wait_for("reader_lost", "card")


def test_without_pyscard_the_error_says_what_to_install(
    slot: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "smartcard.scard", None)
    with pytest.raises(ReaderRefused, match="extra 'pcsc'"):
        READER.open(slot.settings)


def test_the_other_slot_is_watched_too(slot: Rig, pcscd: Pcscd) -> None:
    other = VpcdCarrier("127.0.0.1", pcscd.ports[1])
    other.insert(member_card(1))
    try:
        with slot.reader() as reader:
            end = time.monotonic() + SOON_S
            while not (presented := reader.wait_for_card(0.5)):
                assert time.monotonic() < end
            assert presented.reader == Pcscd.readers[1]
            assert examiner().identify(reader, presented).reference == reference(1)
    finally:
        other.close()
