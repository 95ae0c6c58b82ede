"""The card's half of ISO-DEP: activation, pieces, repetition, presence, silence for the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.virtual.faults import CardLeft
from drivers.virtual.iso_dep import FRAME_SIZES, IsoDepCard

RATS = b"\xe0\x80"
ATS = bytes.fromhex("077880A1008001")


class Applet:
    """Answers each command with itself reversed and remembers what it was told."""

    def __init__(self) -> None:
        self.commands: list[bytes] = []
        self.resets = 0

    def exchange(self, apdu: bytes) -> bytes | None:
        self.commands.append(apdu)
        return None if apdu == b"mute" else apdu[::-1]

    def reset(self) -> None:
        self.resets += 1


@pytest.fixture
def applet() -> Applet:
    return Applet()


@pytest.fixture
def card(applet: Applet) -> IsoDepCard:
    card = IsoDepCard(applet.exchange, applet.reset, b"\x80\x01")
    assert card.receive(RATS) == ATS
    return card


def exchange(
    card: IsoDepCard, command: bytes, sent: int, fsc: int, number: int
) -> tuple[bytes, int]:
    """A reader's half, written from the standard: one command in pieces, its answer collected."""
    piece = fsc - 3
    parts = [command[at : at + piece] for at in range(0, len(command), piece)] or [b""]
    for part in parts[:-1]:
        assert card.receive(bytes([0x12 | number]) + part) == bytes([0xA2 | number])
        number ^= 1
    block = card.receive(bytes([0x02 | number]) + parts[-1])
    answer = b""
    while True:
        assert block is not None
        assert len(block) + 2 <= sent
        assert block[0] & 0xEF == 0x02 | number
        answer += block[1:]
        number ^= 1
        if not block[0] & 0x10:
            return answer, number
        block = card.receive(bytes([0xA2 | number]))


@given(st.lists(st.binary(max_size=1000), max_size=5), st.integers(0, 8))
def test_any_command_comes_back_whole_in_pieces_that_the_reader_takes(
    commands: list[bytes], fsdi: int
) -> None:
    applet = Applet()
    card = IsoDepCard(applet.exchange, applet.reset, b"\x80\x01")
    assert card.receive(bytes([0xE0, fsdi << 4])) == ATS
    number = 0
    for command in commands:
        answer, number = exchange(card, command, FRAME_SIZES[fsdi], 256, number)
        assert answer == command[::-1]
    assert applet.commands == commands


def test_activation_resets_the_card_and_nothing_works_before_it(applet: Applet) -> None:
    card = IsoDepCard(applet.exchange, applet.reset, b"\x80\x01")
    assert card.receive(b"\x02\x00") is None
    assert card.receive(b"\xe0\x8f") is None
    assert card.receive(RATS) == ATS
    assert applet.resets == 1
    card.power_off()
    assert card.receive(b"\xb2") is None
    assert applet.commands == []


def test_a_lost_answer_is_repeated_and_the_command_runs_once(
    card: IsoDepCard, applet: Applet
) -> None:
    first = card.receive(b"\x02abc")
    assert first == b"\x02cba"
    assert card.receive(b"\xb2") == first
    assert applet.commands == [b"abc"]


def test_a_lost_command_is_asked_for_again(card: IsoDepCard, applet: Applet) -> None:
    assert card.receive(b"\xb2") == b"\xa3"
    assert card.receive(b"\x02abc") == b"\x02cba"
    assert card.receive(b"\xb3") == b"\xa2"
    assert applet.commands == [b"abc"]


def test_deselect_is_confirmed_and_ends_the_protocol(card: IsoDepCard) -> None:
    assert card.receive(b"\xc2") == b"\xc2"
    assert card.receive(b"\x02abc") is None


def test_a_mute_card_stays_mute_when_asked_again(card: IsoDepCard) -> None:
    assert card.receive(b"\x02abc") == b"\x02cba"
    assert card.receive(b"\x03mute") is None
    assert card.receive(b"\xb3") is None


def test_a_new_command_drops_the_rest_of_an_answer(card: IsoDepCard) -> None:
    assert card.receive(b"\xc2") == b"\xc2"
    assert card.receive(b"\xe0\x00") == ATS
    assert card.receive(b"\x02" + bytes(13)) == b"\x02" + bytes(13)
    assert card.receive(b"\x13" + bytes(13)) == b"\xa3"
    assert card.receive(b"\x02" + bytes(13)) == b"\x12" + bytes(13)
    assert card.receive(b"\x13" + bytes(1)) == b"\xa3"
    assert card.receive(b"\xa2") is None


def test_a_torn_card_is_the_carriers_matter() -> None:
    def leave(_: bytes) -> bytes:
        raise CardLeft

    card = IsoDepCard(leave, lambda: None, b"")
    card.receive(RATS)
    with pytest.raises(CardLeft):
        card.receive(b"\x02abc")


def test_an_endless_chain_ends_the_protocol(card: IsoDepCard) -> None:
    answers = [card.receive(bytes([0x12 | n & 1]) + bytes(253)) for n in range(261)]
    assert answers[0] == b"\xa2"
    assert answers[-1] is None


@given(st.lists(st.binary(max_size=20), max_size=30))
def test_noise_is_answered_or_not_but_never_breaks_the_card(frames: list[bytes]) -> None:
    applet = Applet()
    card = IsoDepCard(applet.exchange, applet.reset, b"\x80\x01")
    for frame in [RATS, *frames]:
        answer = card.receive(frame)
        assert answer is None or answer
    card.power_off()
    assert card.receive(RATS) == ATS
    assert card.receive(b"\x02abc") == b"\x02cba"
