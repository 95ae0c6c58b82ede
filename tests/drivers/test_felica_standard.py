"""FeliCa Standard: known by one polling, and not confused with a Lite-S or a tag."""

from __future__ import annotations

import pytest

from drivers.cards.felica_standard import FAMILY, identify
from drivers.errors import CardGone, CardUnknown
from drivers.reader import Presented, Technology
from drivers.virtual.cards.felica import FelicaCard
from drivers.virtual.cards.felica_standard import FelicaStandardCard
from drivers.virtual.cards.felica_state import FelicaState
from protocol.record import CardClass
from tests.drivers.frame_world import (
    FrameReader,
    ask,
    check_transcript,
    known_at_pn532,
    transcript,
)
from tests.drivers.world import NONCE, TRUST

IDM = bytes.fromhex("0123456789ABCDEF")
ANSWER = bytes.fromhex("1401") + IDM + bytes(8) + b"\x00\x03"


class NfcForumTag(FelicaStandardCard):
    """A card that is formatted as an NFC Forum Type 3 tag."""

    system = b"\x12\xfc"


def outcome(presented: Presented, answer: bytes) -> str:
    """The family that a FeliCa is of that answers the polling so."""
    dialogue = identify(TRUST, presented, NONCE)
    try:
        next(dialogue)
        dialogue.send(answer)
    except StopIteration as done:
        family: str = done.value.family
        return family
    except CardUnknown:
        return ""
    pytest.fail("more than one polling")


def felica(idm: bytes = IDM) -> Presented:
    return Presented("direct", b"", idm, technology=Technology.FELICA)


def test_it_is_named_after_one_polling() -> None:
    reader = FrameReader(FelicaStandardCard(IDM))
    identity = ask(reader, identify)
    assert (identity.family, identity.assurance) == (FAMILY, CardClass.UID)
    text = transcript("A FeliCa Standard.", reader.said, identity)
    check_transcript("felica_standard/polled.txt", text)


@pytest.mark.parametrize(
    ("card", "family"),
    [
        (FelicaStandardCard(IDM), FAMILY),
        (NfcForumTag(IDM), "uid_only"),
        (FelicaCard(FelicaState.blank(IDM)), "uid_only"),
    ],
)
def test_before_a_pn532(card: FelicaStandardCard, family: str) -> None:
    assert known_at_pn532(card).family == family


@pytest.mark.parametrize(
    "answer",
    [b"", ANSWER[:-1], ANSWER + b"\x00", b"\x14\x00" + ANSWER[2:], ANSWER[:18] + b"\x88\xb4"],
)
def test_another_answer_is_no_felica_standard(answer: bytes) -> None:
    assert outcome(felica(), ANSWER) == FAMILY
    assert outcome(felica(), answer) == ""


def test_another_card_that_answers_is_not_this_one() -> None:
    assert outcome(felica(b"another!"), ANSWER) == ""


@pytest.mark.parametrize(("card_name", "family"), [(0x3B, FAMILY), (0x01, ""), (None, "")])
def test_a_pcsc_reader_is_believed(card_name: int | None, family: str) -> None:
    kind = Technology.NUMBER
    presented = Presented("reader", b"", IDM, technology=kind, card_name=card_name)
    assert outcome(presented, b"") == family


@pytest.mark.parametrize("answer_lost", [False, True], ids=["before", "after"])
def test_a_card_torn_away_is_gone_and_known_again(*, answer_lost: bool) -> None:
    reader = FrameReader(FelicaStandardCard(IDM))
    reader.faults.cut_after(1, answer_lost=answer_lost)
    with pytest.raises(CardGone):
        ask(reader, identify)
    assert ask(reader, identify).family == FAMILY
