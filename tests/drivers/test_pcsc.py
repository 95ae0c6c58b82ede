"""What only PC/SC has: a daemon that dies, readers that must not be used, T=0, other programs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from importlib import import_module

import pytest

from drivers.errors import ReaderLost, ReaderRefused
from drivers.reader import ReaderSettings
from drivers.readers.pcsc import READER
from drivers.supervise import Health, Supervisor
from drivers.virtual.cards.cpu import CpuCard
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
        log.wait_for("card", "removed", "reader_lost")
        slot.carrier.remove()
        pcscd.start()
        wait_for_health(supervisor, Health.READY)
        slot.carrier.insert(member_card(2))
        log.wait_for("card", "removed", "reader_lost", "card")
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


class Overheard(CpuCard):
    """A card that keeps what it was sent."""

    def __init__(self, card: CpuCard) -> None:
        super().__init__(card.state, t0=True)
        self.received: list[bytes] = []

    def transmit(self, apdu: bytes) -> bytes:
        """See VirtualCard."""
        self.received.append(apdu)
        return super().transmit(apdu)


def test_a_t0_card_is_read_in_the_form_that_t0_has(slot: Rig) -> None:
    card = Overheard(member_card(1))
    with slot.supervised() as (log, _):
        slot.carrier.insert(card)
        log.wait_for("card")
        assert log.identities[0].reference == reference(1)
    with_data = [apdu for apdu in card.received if apdu[1] in {0xA4, 0x88}]
    assert [len(apdu) for apdu in with_data] == [5 + apdu[4] for apdu in with_data]


def test_a_card_that_was_replaced_while_nobody_looked_is_gone(slot: Rig) -> None:
    scard = import_module("smartcard.scard")
    code, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
    assert code == scard.SCARD_S_SUCCESS

    def card_events() -> int:
        """Insertions and removals so far, of a slot that has a card with its ATR; else 0."""
        known = [(Pcscd.readers[0], scard.SCARD_STATE_UNAWARE)]
        _, ((_, state, atr),) = scard.SCardGetStatusChange(context, 0, known)
        return int(state >> 16) if atr else 0

    slot.carrier.insert(member_card(1))
    with slot.reader() as reader:
        while not reader.wait_for_card(1.0):
            pass
        before = card_events()
        slot.carrier.insert(member_card(2))
        end = time.monotonic() + SOON_S
        while card_events() <= before:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert reader.wait_for_removal(0.0)
    scard.SCardReleaseContext(context)


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
