"""What holds for each discovered card family."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

import drivers.cards
from drivers.apdu import CommandApdu, ResponseApdu
from drivers.card import CardKind
from drivers.errors import CardUnknown
from drivers.identify import card_kinds
from drivers.reader import Technology
from protocol.plugins import discover
from tests.drivers.world import (
    NONCE,
    PRESENTED,
    TRUST,
    DirectReader,
    blank_card,
    examiner,
    issue_to,
)

if TYPE_CHECKING:
    from drivers.card import Dialogue

KINDS = discover(drivers.cards, "CARD", CardKind)
TRANSCRIPTS = Path(__file__).parents[1] / "transcripts"


@pytest.mark.parametrize("name", KINDS)
def test_a_family_is_called_as_its_file_and_has_a_transcript(name: str) -> None:
    assert KINDS[name].name == name
    assert list((TRANSCRIPTS / name).glob("*.txt"))


APDU_KINDS = [kind for kind in KINDS.values() if kind.technology is Technology.APDU]


@pytest.mark.parametrize("kind", APDU_KINDS, ids=lambda kind: kind.name)
def test_a_family_leaves_the_card_of_another_to_the_next(kind: CardKind) -> None:
    dialogue = cast("Dialogue", kind.identify(TRUST, PRESENTED, NONCE))
    assert isinstance(next(dialogue), CommandApdu)
    with pytest.raises(CardUnknown):
        dialogue.send(ResponseApdu(b"", 0x6A82))


def test_the_surest_family_is_asked_first() -> None:
    assurances = [kind.assurance for kind in card_kinds()]
    assert assurances == sorted(assurances)
    assert assurances


def test_without_a_sites_key_nothing_is_asked_that_needs_one() -> None:
    """A member's card is identified in the exchanges of its own family alone."""
    card = blank_card()
    issue_to(DirectReader(card))
    card.reset()
    reader = DirectReader(card)
    identity = examiner().identify(reader, reader.presented)
    assert identity.family == "cpu"
    assert [command[1] for command in reader.sent[:3]] == [0xA4, 0xB0, 0x88]
    assert {kind.name for kind in KINDS.values() if not kind.needs_site} == {
        "cpu",
        "qr_credential",
        "uid_only",
    }
