"""MIFARE Classic: known by what it says when it is selected, or by a PC/SC reader's word for it."""

from __future__ import annotations

import pytest

from drivers.cards.mifare_classic import FAMILY, identify
from drivers.errors import CardUnknown
from drivers.reader import Presented, Technology
from drivers.virtual.cards.mifare_classic import (
    CLASSIC_1K,
    CLASSIC_4K,
    MINI,
    NAK,
    MifareClassicCard,
)
from drivers.virtual.cards.uid_only import NumberCard, StorageCard
from protocol.record import CardClass
from tests.drivers.frame_world import (
    FrameReader,
    ask,
    check_transcript,
    known_at_pn532,
    transcript,
)
from tests.drivers.rigs import rig
from tests.drivers.world import examiner
from tests.services.pcscd import Pcscd

UID = bytes.fromhex("DEADBEEF")


def test_it_is_named_and_never_asked_anything() -> None:
    reader = FrameReader(MifareClassicCard(UID))
    identity = ask(reader, identify)
    assert (identity.family, identity.assurance) == (FAMILY, CardClass.UID)
    assert not reader.said
    text = transcript("A MIFARE Classic 1K.", reader.said, identity)
    check_transcript("mifare_classic/number.txt", text)


@pytest.mark.parametrize("sel_res", [CLASSIC_1K, CLASSIC_4K, MINI])
def test_before_a_pn532(sel_res: int) -> None:
    assert known_at_pn532(MifareClassicCard(UID, sel_res)).family == FAMILY


@pytest.mark.pcscd
def test_before_a_pcsc_reader(pcscd: Pcscd) -> None:
    slot = rig("pcsc", lambda: pcscd)
    slot.carrier.insert(StorageCard(UID, card_name=0x0001))
    with slot.supervised() as (log, _):
        log.wait_for("card")
        assert (log.identities[0].family, log.identities[0].assurance) == (FAMILY, CardClass.UID)
    slot.carrier.close()


@pytest.mark.parametrize("card_name", [0x0002, 0x0026, 0x0036, 0x0037])
def test_each_of_its_kin_is_named(card_name: int) -> None:
    told = Presented("reader", b"", UID, technology=Technology.NUMBER, card_name=card_name)
    assert examiner().identify(FrameReader(NumberCard(UID)), told).family == FAMILY


def test_a_ticket_is_left_to_the_next_family() -> None:
    with pytest.raises(CardUnknown):
        ask(FrameReader(NumberCard(UID)), identify)


def test_the_software_card_says_nothing_without_its_cipher() -> None:
    card = MifareClassicCard(UID)
    assert len(card.transmit(b"\x60\x04") or b"") == 4
    assert card.transmit(b"\x30\x04") == NAK
