"""What holds for each discovered card family."""

from __future__ import annotations

import inspect
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

import drivers.cards
from drivers.apdu import CommandApdu, ResponseApdu
from drivers.card import CardKind
from drivers.errors import CardUnknown
from drivers.identify import card_kinds
from drivers.reader import Presented, Technology
from drivers.virtual.cards.uid_only import NumberCard
from protocol.plugins import discover
from protocol.record import CardClass
from tests.drivers.frame_world import FrameReader
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
CHOICE = Path(__file__).parents[2] / "docs" / "cards.md"


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


@pytest.mark.parametrize("name", KINDS)
def test_a_family_that_uses_a_sites_key_says_so(name: str) -> None:
    source = inspect.getsource(import_module(f"drivers.cards.{name}"))
    assert KINDS[name].needs_site == ("trust.site" in source)


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_a_family_has_a_software_card(kind: CardKind) -> None:
    a_phone_plays_it = kind.technology is Technology.QR
    assert a_phone_plays_it or find_spec(f"drivers.virtual.cards.{kind.name}")


@pytest.mark.parametrize("name", KINDS)
def test_a_family_has_a_row_for_who_chooses_cards(name: str) -> None:
    assert f"\n| `{name}`" in CHOICE.read_text()


NUMBERS = [kind for kind in KINDS.values() if kind.technology is Technology.NUMBER]
CLASSIC, FELICA = (
    Presented("reader", b"", uid, technology=Technology.NUMBER, card_name=card_name)
    for uid, card_name in ((b"\xde\xad\xbe\xef", 0x0001), (b"\x01#Eg\x89\xab\xcd\xef", 0x003B))
)


@pytest.mark.parametrize("kind", NUMBERS, ids=lambda kind: kind.name)
def test_what_is_known_by_its_number_earns_only(kind: CardKind) -> None:
    assert kind.assurance is CardClass.UID


@pytest.mark.parametrize("named", [CLASSIC, FELICA], ids=["classic", "felica"])
def test_a_number_is_one_card_whatever_a_reader_can_tell_of_it(named: Presented) -> None:
    reader = FrameReader(NumberCard(named.uid or b""))
    bare = replace(named, card_name=None)
    known, unknown = (examiner().identify(reader, shown) for shown in (named, bare))
    assert known.family != unknown.family == "uid_only"
    assert known.reference == unknown.reference


def test_a_bare_number_is_asked_for_last() -> None:
    assert card_kinds()[-1].name == "uid_only"
