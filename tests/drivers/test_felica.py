"""FeliCa Lite-S: proved, not proved, tampered with, torn away."""

from __future__ import annotations

import time

import pytest

from drivers.cards.felica import FAMILY, card_key, identify, personalise
from drivers.errors import (
    CardForged,
    CardGone,
    CardIssued,
    CardRefused,
    CardUnknown,
    ChannelBroken,
)
from drivers.exchange import Deadlines, hold_frames
from drivers.virtual.cards.felica import FelicaCard
from drivers.virtual.cards.felica_standard import FelicaStandardCard
from drivers.virtual.cards.felica_state import FelicaState
from drivers.virtual.faults import FrameCard
from protocol.card_keys import SiteKey
from protocol.credential import card_reference
from protocol.record import CardClass
from tests.drivers.frame_world import (
    OTHER_SITE,
    SITE,
    Changing,
    FrameReader,
    ask,
    at_pn532,
    check_transcript,
    known_at_pn532,
    transcript,
)
from tests.drivers.world import NONCE, TRUST

IDM = bytes.fromhex("0123456789ABCDEF")
WRITES_AND_READS = 7  # frames of an issuing


def issue(reader: FrameReader, site: SiteKey = SITE) -> None:
    """Personalise the card on the reader."""
    reader.card.reset()
    dialogue = personalise(IDM, card_key(site, IDM), NONCE)
    hold_frames(dialogue, reader, Deadlines(), time.monotonic)


def issued(site: SiteKey = SITE) -> FelicaCard:
    card = FelicaCard(FelicaState.blank(IDM))
    issue(FrameReader(card), site)
    card.reset()
    return card


def test_an_issued_card_is_proved_and_counts_its_taps() -> None:
    reader = FrameReader(issued())
    identity = ask(reader, identify)
    assert identity.reference == card_reference(TRUST.reference_key, FAMILY, IDM)
    assert (identity.assurance, identity.counter) == (CardClass.SECURE, 0)
    assert len(reader.said) == 5
    check_transcript("felica/lite_s.txt", transcript("A Lite-S.", reader.said, identity))
    assert ask(reader, identify).counter == 1


def test_the_same_through_nfcpys_driver() -> None:
    assert known_at_pn532(issued()).family == FAMILY


def test_a_card_is_personalised_through_nfcpys_driver() -> None:
    card = FelicaCard(FelicaState.blank(IDM))
    with at_pn532(card) as reader:
        assert reader.wait_for_card(5.0)
        dialogue = personalise(IDM, card_key(SITE, IDM), NONCE)
        hold_frames(dialogue, reader, Deadlines(), time.monotonic)
    assert ask(FrameReader(card), identify).assurance is CardClass.SECURE


@pytest.mark.parametrize("card", [FelicaCard(FelicaState.blank(IDM)), issued(OTHER_SITE)])
def test_a_card_that_proves_nothing_here_is_a_number(card: FrameCard) -> None:
    identity = known_at_pn532(card)
    assert (identity.family, identity.assurance) == ("uid_only", CardClass.UID)


def test_a_card_of_somebody_else_is_not_written_to() -> None:
    reader = FrameReader(FelicaStandardCard(IDM))
    with pytest.raises(CardUnknown):
        ask(reader, identify)
    assert [command[1] for command, _ in reader.said] == [0x06]
    reader = FrameReader(issued())
    with pytest.raises(CardUnknown):
        ask(reader, identify, TRUST)
    assert not reader.said


@pytest.mark.parametrize("answer", [2, 4])
def test_every_changed_bit_that_counts_is_noticed(answer: int) -> None:
    honest = FrameReader(issued())
    ask(honest, identify)
    said = honest.said[answer][1]
    unused = 8 * 8  # the half of the MAC block that has no MAC in it
    for bit in range(unused, 8 * (len(said) - 13)):
        with pytest.raises((CardUnknown, CardForged, ChannelBroken, CardRefused)):
            ask(FrameReader(Changing(issued(), answer, bit)), identify)


@pytest.mark.parametrize("answer_lost", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("frame", range(1, WRITES_AND_READS + 1))
def test_a_card_torn_away_while_it_is_issued(frame: int, *, answer_lost: bool) -> None:
    card = FelicaCard(FelicaState.blank(IDM))
    reader = FrameReader(card)
    reader.faults.cut_after(frame, answer_lost=answer_lost)
    with pytest.raises(CardGone):
        issue(reader)
    again = FrameReader(FelicaCard(FelicaState.load(card.state.dump())))
    if (frame, answer_lost) >= (WRITES_AND_READS - 1, True):
        with pytest.raises(CardIssued):
            issue(again)
    else:
        issue(again)
    assert ask(again, identify).assurance is CardClass.SECURE


@pytest.mark.parametrize("answer_lost", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("frame", range(1, 6))
def test_a_card_torn_away_while_it_is_read_has_counted_or_not(
    frame: int, *, answer_lost: bool
) -> None:
    card = issued()
    reader = FrameReader(card)
    reader.faults.cut_after(frame, answer_lost=answer_lost)
    with pytest.raises(CardGone):
        ask(reader, identify)
    counted = (frame, answer_lost) >= (4, True)
    assert ask(reader, identify).counter == counted


def write(block: int, data: bytes = bytes(16)) -> bytes:
    body = b"\x08" + IDM + b"\x01\x09\x00\x01\x80" + bytes((block,)) + data
    return bytes((1 + len(body),)) + body


def read(block: int) -> bytes:
    body = b"\x06" + IDM + b"\x01\x0b\x00\x01\x80" + bytes((block,))
    return bytes((1 + len(body),)) + body


def test_an_issued_card_keeps_its_key_and_its_configuration() -> None:
    card = issued()
    before = card.state.dump()
    for block in (0x82, 0x86, 0x87, 0x88, 0x90, 0x92):
        answer = card.transmit(write(block))
        assert answer
        assert answer[10], hex(block)
    shown = card.transmit(read(0x87))
    assert shown
    assert shown[13:] == bytes(16)
    assert card.state.dump() == before


def test_a_mac_needs_a_challenge_and_power_takes_it() -> None:
    card = issued()
    ask(FrameReader(card), identify)
    assert card.transmit(read(0x81))[10] == 0  # type: ignore[index]
    card.reset()
    assert card.transmit(read(0x81))[10] != 0  # type: ignore[index]
    assert card.transmit(read(0x92))[13] == 0  # type: ignore[index]


def test_a_write_heard_before_is_refused() -> None:
    reader = FrameReader(issued())
    ask(reader, identify)
    heard = reader.said[3][0]
    assert reader.card.transmit(heard)[10] != 0  # type: ignore[index]
