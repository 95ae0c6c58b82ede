"""Ultralight AES and C: proved, not proved, tampered with, torn away."""

from __future__ import annotations

import time

import pytest

from drivers.cards.ultralight import FAMILY, Chip, card_key, identify, personalise
from drivers.errors import CardForged, CardGone, CardRefused, CardUnknown, ChannelBroken
from drivers.exchange import Deadlines, hold_frames
from drivers.virtual.cards.ultralight import NAK, UltralightCard
from drivers.virtual.cards.ultralight_state import UltralightState
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
    draws,
    known_at_pn532,
    transcript,
)
from tests.drivers.world import TRUST

UID = bytes.fromhex("04515253545556")
CHIPS = pytest.mark.parametrize("chip", list(Chip))
WRITES = 6


def issue(reader: FrameReader, chip: Chip) -> None:
    """Personalise the card on the reader."""
    reader.card.reset()
    dialogue = personalise(chip, card_key(SITE, UID))
    hold_frames(dialogue, reader, Deadlines(), time.monotonic)


def blank(chip: Chip) -> UltralightCard:
    return UltralightCard(UltralightState.blank(UID, aes=chip is Chip.AES), draw=draws())


def issued(chip: Chip) -> UltralightCard:
    card = blank(chip)
    issue(FrameReader(card), chip)
    card.reset()
    return card


@CHIPS
def test_an_issued_card_is_proved(chip: Chip) -> None:
    reader = FrameReader(issued(chip))
    identity = ask(reader, identify)
    assert identity.reference == card_reference(TRUST.reference_key, FAMILY, UID)
    assert identity.assurance is (CardClass.SECURE if chip is Chip.AES else CardClass.UID)
    assert len(reader.said) == (3 if chip is Chip.AES else 2)
    text = transcript(f"An Ultralight {chip.name}.", reader.said, identity)
    check_transcript(f"ultralight/{chip.name.lower()}.txt", text)


@CHIPS
def test_the_same_through_nfcpys_driver(chip: Chip) -> None:
    card = issued(chip)
    assert known_at_pn532(card).family == FAMILY
    assert card.state.failures == 0


@CHIPS
def test_a_card_is_personalised_through_nfcpys_driver(chip: Chip) -> None:
    card = blank(chip)
    with at_pn532(card) as reader:
        assert reader.wait_for_card(5.0)
        hold_frames(personalise(chip, card_key(SITE, UID)), reader, Deadlines(), time.monotonic)
    assert ask(FrameReader(card), identify).family == FAMILY


@CHIPS
def test_a_card_of_another_site_is_a_number(chip: Chip) -> None:
    card = blank(chip)
    key = card_key(OTHER_SITE, UID)
    hold_frames(personalise(chip, key), FrameReader(card), Deadlines(), time.monotonic)
    with pytest.raises(CardUnknown):
        ask(FrameReader(card), identify)
    assert card.state.failures == 1
    identity = known_at_pn532(card)
    assert (identity.family, identity.assurance) == ("uid_only", CardClass.UID)


def test_without_a_site_key_nothing_is_asked() -> None:
    reader = FrameReader(issued(Chip.AES))
    with pytest.raises(CardUnknown):
        ask(reader, identify, TRUST)
    assert not reader.said


@CHIPS
@pytest.mark.parametrize("exchange", range(3))
def test_every_changed_bit_of_an_answer_is_noticed(chip: Chip, exchange: int) -> None:
    honest = FrameReader(issued(chip))
    ask(honest, identify)
    if exchange >= len(honest.said):
        return
    for bit in range(8 * len(honest.said[exchange][1])):
        changed = Changing(issued(chip), exchange, bit)
        with pytest.raises((CardUnknown, CardForged, ChannelBroken, CardRefused)):
            ask(FrameReader(changed), identify)


@CHIPS
@pytest.mark.parametrize("answer_lost", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("frame", range(1, WRITES + 1))
def test_a_card_torn_away_while_it_is_issued(chip: Chip, frame: int, *, answer_lost: bool) -> None:
    card = blank(chip)
    reader = FrameReader(card)
    reader.faults.cut_after(frame, answer_lost=answer_lost)
    with pytest.raises(CardGone):
        issue(reader, chip)
    done = frame == WRITES and answer_lost
    if done:
        with pytest.raises(CardRefused):
            issue(reader, chip)
    else:
        if chip is Chip.AES:
            with pytest.raises((CardUnknown, ChannelBroken)):
                ask(FrameReader(UltralightCard(card.state)), identify)
        issue(reader, chip)
    assert ask(FrameReader(card), identify).family == FAMILY


@pytest.mark.parametrize("frame", [1, 2, 3])
def test_a_card_torn_away_while_it_is_read(frame: int) -> None:
    card = issued(Chip.AES)
    stored = card.state.dump()
    reader = FrameReader(card)
    reader.faults.cut_after(frame, answer_lost=True)
    with pytest.raises(CardGone):
        ask(reader, identify)
    assert card.state.dump() == stored
    assert ask(reader, identify).assurance is CardClass.SECURE


def test_the_card_counts_wrong_keys_and_refuses_at_last() -> None:
    card = issued(Chip.AES)
    reader = FrameReader(card)
    for _ in range(256):
        card.reset()
        assert card.transmit(b"\x1a\x00")
        assert card.transmit(b"\xaf" + bytes(32)) == NAK
    card = UltralightCard(UltralightState.load(card.state.dump()))
    assert card.transmit(b"\x1a\x00") == NAK
    reader.card = card
    with pytest.raises(CardUnknown):
        ask(reader, identify)


@CHIPS
def test_the_card_keeps_its_key_and_its_pages(chip: Chip) -> None:
    card = issued(chip)
    first = 0x30 if chip is Chip.AES else 0x2C
    assert card.transmit(bytes((0x30, first))) == bytes(16)
    assert card.transmit(bytes((0xA2, 4)) + b"free") == NAK
    assert card.transmit(bytes((0x30, 0))) is None, "idle until it is selected again"
    card.reset()
    assert card.transmit(bytes((0xA2, first)) + bytes(4)) == NAK


def test_in_a_session_nothing_goes_without_a_mac() -> None:
    card = issued(Chip.AES)
    ask(FrameReader(card), identify)
    assert card.transmit(b"\x30\x00") == NAK
    assert card.transmit(b"\x30\x00") is None


def test_a_card_without_secure_messaging_is_refused() -> None:
    card = issued(Chip.AES)
    card.state.pages[0x29 * 4] = 0
    with pytest.raises(ChannelBroken):
        ask(FrameReader(card), identify)


def test_a_card_that_says_another_uid_under_its_mac_is_forged() -> None:
    card = issued(Chip.AES)
    card.state.pages[4] ^= 1
    with pytest.raises(CardForged):
        ask(FrameReader(card), identify)


def test_state_survives_and_power_takes_the_session() -> None:
    card = issued(Chip.AES)
    again = UltralightCard(UltralightState.load(card.state.dump()), draw=draws())
    ask(FrameReader(again), identify)
    again.reset()
    assert again.transmit(b"\xa2\x04free") == NAK
