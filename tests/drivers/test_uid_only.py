"""Cards that are a number: at a PN532, at a PC/SC reader, and the numbers that name no card."""

from __future__ import annotations

import pytest

from drivers.cards.uid_only import FAMILY, identify
from drivers.errors import CardUnknown
from drivers.identify import card_kinds
from drivers.reader import Presented, Technology
from drivers.virtual.cards.uid_only import NumberCard, StorageCard
from protocol.credential import card_reference
from protocol.record import CardClass
from tests.drivers.frame_world import FrameReader, ask, at_pn532, check_transcript, transcript
from tests.drivers.rigs import rig
from tests.drivers.world import TRUST, examiner
from tests.services.pcscd import Pcscd

SHORT = bytes.fromhex("DEADBEEF")
TICKET = bytes.fromhex("04112233445566")


def expected(number: bytes) -> bytes:
    return card_reference(TRUST.reference_key, FAMILY, number)


def test_a_number_is_identified_and_earns_only() -> None:
    reader = FrameReader(NumberCard(SHORT))
    identity = ask(reader, identify, TRUST)
    assert identity.reference == expected(SHORT)
    assert identity.assurance is CardClass.UID
    assert not reader.said
    check_transcript("uid_only/number.txt", transcript("A ticket.", reader.said, identity))


@pytest.mark.parametrize("sel_res", [0x08, 0x00])
@pytest.mark.parametrize("number", [SHORT, TICKET])
def test_a_card_before_a_pn532(number: bytes, sel_res: int) -> None:
    with at_pn532(NumberCard(number, sel_res)) as reader:
        presented = reader.wait_for_card(5.0)
        assert presented
        is_ticket = presented.technology is Technology.TYPE_2
        assert is_ticket == (sel_res == 0)
        identity = examiner().identify(reader, presented)
        assert identity.reference == expected(number)
        assert identity.family == (FAMILY if is_ticket else "mifare_classic")


@pytest.mark.pcscd
def test_a_storage_card_before_a_pcsc_reader(pcscd: Pcscd) -> None:
    slot = rig("pcsc", lambda: pcscd)
    slot.carrier.insert(StorageCard(SHORT, card_name=0x0003))
    with slot.supervised() as (log, _):
        log.wait_for("card")
        assert log.identities[0].reference == expected(SHORT)
        assert log.identities[0].assurance is CardClass.UID
    slot.carrier.close()


@pytest.mark.parametrize("number", ["", "00000000", "08112233", "0102", "01FE0102030405FF"])
def test_a_number_that_names_no_card(number: str) -> None:
    presented = Presented("reader", b"", bytes.fromhex(number), technology=Technology.NUMBER)
    dialogue = identify(TRUST, presented, b"")
    with pytest.raises(CardUnknown):
        next(dialogue)


def test_a_card_with_apdus_is_never_taken_by_its_number() -> None:
    reader = FrameReader(NumberCard(SHORT))
    answers = Presented("direct", b"\x3b\x00", SHORT)
    reader.card = _Refusing(SHORT)
    with pytest.raises(CardUnknown):
        examiner().identify(reader, answers)


class _Refusing(NumberCard):
    def transmit(self, frame: bytes) -> bytes | None:
        del frame
        return b"\x6a\x82"


def test_it_is_asked_last_whatever_other_families_are_called() -> None:
    assert card_kinds()[-1].name == "uid_only"
    assert sum(kind.is_last for kind in card_kinds()) == 1
