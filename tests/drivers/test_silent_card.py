"""A card that leaves frames unanswered: a number if it never speaks, otherwise a failed card."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import pytest

from drivers.card import CardIdentity
from drivers.cards.uid_only import FAMILY as NUMBER
from drivers.cards.ultralight import FAMILY as ULTRALIGHT
from drivers.cards.ultralight import Chip
from drivers.errors import CardGone, ExchangeTimeout, ReaderLost
from drivers.identify import TIMES_ASKED
from drivers.reader import ReaderSettings
from drivers.readers import nfc
from drivers.readers.nfc import ACTIVATIONS
from drivers.virtual import pn532_target
from drivers.virtual.cards.felica_standard import POLLING, FelicaStandardCard
from drivers.virtual.cards.uid_only import NumberCard, StorageCard
from drivers.virtual.faults import FrameCard
from drivers.virtual.iso_dep import IsoDepCard
from drivers.virtual.pn532 import Line, Pn532Device
from protocol.credential import card_reference
from protocol.record import CardClass
from tests.drivers.frame_world import SITE_TRUST, known_at_pn532
from tests.drivers.rigs import rig
from tests.drivers.test_ultralight import issued
from tests.drivers.world import SOON_S, TRUST, examiner, member_card, reference
from tests.services.pcscd import Pcscd

TICKET, SHORT = bytes.fromhex("04112233445566"), bytes.fromhex("DEADBEEF")
IDM = bytes.fromhex("0123456789ABCDEF")
# AUTHENTICATE, its second frame, and a READ under CMAC.
FRAMES = 3


class Missing:
    """A card that misses the frames with these numbers; ``at_last`` happens at the last of them."""

    def __init__(
        self, card: FrameCard, missed: range, at_last: Callable[[], None] = lambda: None
    ) -> None:
        self._card, self._missed, self._at_last = card, missed, at_last
        self._heard = 0
        self.sel_res, self.uid, self.reset = card.sel_res, card.uid, card.reset

    def transmit(self, frame: bytes) -> bytes | None:
        """See FrameCard."""
        self._heard += 1
        if self._heard not in self._missed:
            return self._card.transmit(frame)
        if self._heard == self._missed[-1]:
            self._at_last()
        return None


class OnlyPolled(FelicaStandardCard):
    """A FeliCa that answers nothing but its polling."""

    def transmit(self, frame: bytes) -> bytes | None:
        return super().transmit(frame) if frame[1:2] == bytes((POLLING,)) else None


class Asked(StorageCard):
    """A storage card that knows when it was asked."""

    def __init__(self, uid: bytes, card_name: int) -> None:
        super().__init__(uid, card_name)
        self.asked = threading.Event()

    def transmit(self, apdu: bytes) -> bytes:
        self.asked.set()
        return super().transmit(apdu)


def failure_at_pn532(lay: Callable[[Pn532Device], None]) -> type[Exception]:
    """With which error the card ends that ``lay`` lays on the device."""
    device = Pn532Device()
    lay(device)
    with pytest.raises((CardGone, ExchangeTimeout)) as failed:
        identified(device)
    return failed.type


def identified(device: Pn532Device) -> CardIdentity:
    """Who the card on the device is, which is closed behind it."""
    reader = nfc.READER.open(ReaderSettings(f"tty:{device.path}"))
    try:
        presented = reader.wait_for_card(SOON_S)
        assert presented
        return examiner(SITE_TRUST).identify(reader, presented)
    finally:
        reader.close()
        device.close()


@pytest.mark.parametrize("number", [TICKET, SHORT])
def test_a_card_that_never_speaks_is_its_number(number: bytes) -> None:
    identity = known_at_pn532(NumberCard(number))
    assert (identity.family, identity.assurance) == (NUMBER, CardClass.UID)
    assert identity.reference == card_reference(TRUST.reference_key, NUMBER, number)


def test_a_felica_that_is_silent_to_one_family_is_asked_by_the_next() -> None:
    assert known_at_pn532(OnlyPolled(IDM)).family == "felica_standard"


@pytest.mark.parametrize("missed", range(1, TIMES_ASKED))
def test_a_card_that_misses_a_frame_is_asked_again(missed: int) -> None:
    identity = known_at_pn532(Missing(issued(Chip.AES), range(1, missed + 1)))
    assert (identity.family, identity.assurance) == (ULTRALIGHT, CardClass.SECURE)


@pytest.mark.parametrize("missed", range(2, FRAMES + 1))
def test_a_card_that_spoke_and_falls_silent_has_failed(missed: int) -> None:
    card = Missing(issued(Chip.AES), range(missed, missed + 10))
    assert failure_at_pn532(lambda device: device.insert(card)) is ExchangeTimeout


@pytest.mark.parametrize("answer_lost", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("frame", range(1, FRAMES + 1))
def test_a_card_that_is_torn_away_is_gone(frame: int, *, answer_lost: bool) -> None:
    def lay(device: Pn532Device) -> None:
        device.insert(issued(Chip.AES))
        device.faults.cut_after(frame, answer_lost=answer_lost)

    assert failure_at_pn532(lay) is CardGone


@pytest.mark.parametrize("asked", range(1, TIMES_ASKED + 1))
def test_a_card_in_the_place_of_the_silent_one_is_not_it(asked: int) -> None:
    def lay(device: Pn532Device) -> None:
        replaced = partial(device.insert, NumberCard(TICKET))
        device.insert(Missing(issued(Chip.AES), range(1, asked + 1), replaced))

    assert failure_at_pn532(lay) is CardGone


def test_a_reader_that_hangs_while_it_looks_for_the_silent_card_is_lost() -> None:
    device = Pn532Device()
    hangs = partial(setattr, device, "line", Line.HUNG)
    device.insert(Missing(issued(Chip.AES), range(1, 2), hangs))
    with pytest.raises(ReaderLost):
        identified(device)


@pytest.mark.parametrize("missed", [1, ACTIVATIONS - 1, ACTIVATIONS])
def test_a_card_with_apdus_that_misses_its_activation_is_never_a_number(missed: int) -> None:
    """It comes into the field, or leaves it: it is read, or it is to be presented again."""
    left = iter(range(missed))
    activate = IsoDepCard._activate  # noqa: SLF001

    def hardly(card: IsoDepCard, rats: bytes) -> bytes | None:
        return activate(card, rats) if next(left, None) is None else None

    def lay(device: Pn532Device) -> None:
        device.insert(member_card(1))

    with pytest.MonkeyPatch.context() as air:
        air.setattr(IsoDepCard, "_activate", hardly)
        if missed == ACTIVATIONS:
            assert failure_at_pn532(lay) is CardGone
            return
        device = Pn532Device()
        lay(device)
        assert identified(device).reference == reference(1)


def test_an_answer_that_came_broken_is_no_silence() -> None:
    with pytest.MonkeyPatch.context() as air:
        air.setattr(pn532_target, "crc_a", lambda _: b"\x00\x00")
        failure = failure_at_pn532(lambda device: device.insert(issued(Chip.AES)))
    assert failure is ExchangeTimeout


@pytest.mark.pcscd
def test_a_card_that_leaves_before_its_number_was_read_was_never_there(pcscd: Pcscd) -> None:
    slot = rig("pcsc", lambda: pcscd)
    torn = Asked(SHORT, card_name=0x0003)
    with slot.supervised() as (log, _):
        slot.carrier.faults.cut_after(1, answer_lost=True)
        slot.carrier.insert(torn)
        assert torn.asked.wait(SOON_S)
        slot.carrier.insert(StorageCard(SHORT, card_name=0x0003))
        log.wait_for("card")
        assert log.identities[0].reference == card_reference(TRUST.reference_key, NUMBER, SHORT)
    slot.carrier.close()
