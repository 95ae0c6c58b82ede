"""Every family at the card desk: written, read back, registered, loaded; torn away on the way."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drivers.card import CardIdentity
from drivers.desfire.layout import PURSE_LIMIT
from drivers.errors import CardGone, CardIssued, CardRefused, CardUnknown
from drivers.reader import Presented, Reader
from drivers.virtual.cards.ntag424 import Ntag424Card
from drivers.virtual.cards.ultralight import UltralightCard
from drivers.virtual.cards.ultralight_state import UltralightState
from drivers.virtual.faults import FrameCard
from drivers.virtual.pn532 import Pn532Device
from protocol.errors import ProductError
from protocol.record import CardClass
from provisioning.authority import Authority, init
from provisioning.cards import FAMILIES, CardDesk
from provisioning.demo.blanks import BLANKS, NUMBERS, AnyCard
from provisioning.errors import (
    CardProvable,
    LinkTooLong,
    LoadTooLarge,
    LoadTorn,
    LoadUnclear,
    NoPurse,
    SiteUnnamed,
)
from tests.drivers.frame_world import FrameReader
from tests.drivers.world import DirectReader
from tests.provisioning.card_desk import TRANSPORT, card_desk

PURSES = [name for name, kind in FAMILIES.items() if kind.purse]
ASSURANCE = dict.fromkeys(PURSES, CardClass.VALUE)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    authority = init(tmp_path_factory.mktemp("site") / "authority", "acme", datetime.now(UTC))
    for site in ("quay", "pier"):
        authority.site_key(site)
    return authority


def sites_of(family: str) -> tuple[str, ...]:
    """As many of the two sites as a card of the family can know; a slot above 0 for the others."""
    return ("quay", "pier")[: FAMILIES[family].sites] if FAMILIES[family].sites > 1 else ("pier",)


def blank(family: str) -> AnyCard:
    """A card as delivered."""
    return BLANKS[family](TRANSPORT.secret)


class Field(FrameReader):
    """A reader that selects its card anew whenever it looks, as nfcpy does.

    ``next_card`` lies there after the next look.
    """

    next_card: FrameCard | None = None

    def wait_for_card(self, timeout_s: float) -> Presented | None:
        self.card.reset()
        found = super().wait_for_card(timeout_s)
        if self.next_card:
            self.card, self.next_card = self.next_card, None
        return found


def direct(card: AnyCard) -> DirectReader | Field:
    """A reader with this card and no bus."""
    return Field(card) if isinstance(card, FrameCard) else DirectReader(card)


def counted(on: DirectReader | Field) -> int:
    """How many exchanges there were."""
    return len(on.said if isinstance(on, Field) else on.sent)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_blank_card_becomes_one_that_a_terminal_accepts(
    authority: Authority, device: Pn532Device, reader: Reader, family: str
) -> None:
    desk = card_desk(authority, reader, *sites_of(family))
    card = blank(family)
    device.insert(card)
    try:
        reference = desk.personalise(family, "m-1", present_s=5.0)
        assert desk.personalise(family, "m-1", present_s=5.0) == reference
        identity = desk.show(present_s=5.0).identity
    finally:
        device.remove()
        assert reader.wait_for_removal(5.0)
    assert (identity.family, identity.reference) == (family, reference)
    assert identity.assurance is ASSURANCE.get(family, CardClass.SECURE)


def test_an_ultralight_c_is_found_to_be_one_and_stays_a_number(
    authority: Authority, device: Pn532Device, reader: Reader
) -> None:
    desk = card_desk(authority, reader, "pier")
    device.insert(UltralightCard(UltralightState.blank(b"\x04" + os.urandom(6), aes=False)))
    try:
        reference = desk.personalise("ultralight", "m-1", present_s=5.0)
        identity = desk.show(present_s=5.0).identity
        with pytest.raises(CardProvable):
            desk.register("m-1", present_s=5.0)
        assert desk.show(present_s=5.0).site
    finally:
        device.remove()
        assert reader.wait_for_removal(5.0)
    assert (identity.family, identity.assurance) == ("ultralight", CardClass.UID)
    assert identity.reference == reference


@pytest.mark.parametrize("answer_lost", [False, True], ids=["unheard", "answer-lost"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_card_torn_away_at_any_command_is_repaired_by_a_second_run(
    authority: Authority, family: str, *, answer_lost: bool
) -> None:
    whole = direct(blank(family))
    card_desk(authority, whole, *sites_of(family)).personalise(family, "m-1")
    for at in range(1, counted(whole) + 1):
        torn = direct(blank(family))
        torn.faults.cut_after(at, answer_lost=answer_lost)
        desk = card_desk(authority, torn, *sites_of(family))
        with pytest.raises(CardGone):
            desk.personalise(family, "m-1")
        torn.card.reset()
        assert desk.personalise(family, "m-1")


@pytest.mark.parametrize("answer_lost", [False, True], ids=["unheard", "answer-lost"])
def test_a_tag_torn_away_on_its_way_to_lrp_is_there_after_a_second_run(
    authority: Authority, *, answer_lost: bool
) -> None:
    whole = direct(blank("ntag424"))
    card_desk(authority, whole, "pier").personalise("ntag424", "m-1", lrp=True)
    for at in range(1, counted(whole) + 1):
        torn = direct(blank("ntag424"))
        assert isinstance(torn.card, Ntag424Card)
        torn.faults.cut_after(at, answer_lost=answer_lost)
        desk = card_desk(authority, torn, "pier")
        with pytest.raises(CardGone):
            desk.personalise("ntag424", "m-1", lrp=True)
        torn.card.reset()
        assert desk.personalise("ntag424", "m-1", lrp=True)
        assert torn.card.state.lrp


def test_a_finished_tag_is_not_spoilt_by_the_wrong_command(authority: Authority) -> None:
    on = direct(blank("ntag424"))
    assert isinstance(on.card, Ntag424Card)
    pier, quay = (card_desk(authority, on, site) for site in ("pier", "quay"))
    reference = pier.personalise("ntag424", "m-1")
    before = on.card.state.dump()
    for desk, lrp, error in ((quay, False, CardIssued), (pier, True, CardRefused)):
        on.card.reset()
        with pytest.raises(error):
            desk.personalise("ntag424", "m-1", lrp=lrp)
    assert on.card.state.dump() == before
    on.card.reset()
    assert pier.personalise("ntag424", "m-1") == reference


def test_a_link_that_does_not_fit_is_said_before_the_tag_is_touched(authority: Authority) -> None:
    on = direct(blank("ntag424"))
    assert isinstance(on.card, Ntag424Card)
    desk = replace(card_desk(authority, on, "pier"), page="x" * 145)
    with pytest.raises(LinkTooLong):
        desk.personalise("ntag424", "m-1", lrp=True)
    assert not on.card.state.lrp
    on.card.reset()
    assert desk.personalise("ntag424", "m-1")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_card_of_another_estate_is_not_taken_over(
    authority: Authority, tmp_path: Path, family: str
) -> None:
    other = init(tmp_path / "other", "acme", datetime.now(UTC))
    on = direct(blank(family))
    card_desk(other, on, *sites_of(family)).personalise(family, "m-1")
    on.card.reset()
    with pytest.raises(ProductError):
        card_desk(authority, on, *sites_of(family)).personalise(family, "m-1")
    on.card.reset()
    assert card_desk(other, on, *sites_of(family)).personalise(family, "m-1")


def test_another_card_in_its_place_is_not_registered_for_it(authority: Authority) -> None:
    on = direct(blank("ultralight"))
    assert isinstance(on, Field)
    desk = card_desk(authority, on, "pier")
    desk.personalise("ultralight", "m-1")
    finished, on.card = on.card, blank("ultralight")  # type: ignore[assignment]
    on.next_card = finished
    with pytest.raises(CardGone):
        desk.personalise("ultralight", "m-1")


@pytest.mark.parametrize("family", [name for name in FAMILIES if FAMILIES[name].sites == 1])
def test_a_card_of_one_site_asks_which(authority: Authority, family: str) -> None:
    on = direct(blank(family))
    for sites in ((), ("quay", "pier")):
        with pytest.raises(SiteUnnamed):
            card_desk(authority, on, *sites).personalise(family, "m-1")
    assert counted(on) == 0


def test_a_finished_card_need_not_know_a_site_that_came_later(authority: Authority) -> None:
    on = direct(blank("desfire"))
    reference = card_desk(authority, on, "pier").personalise("desfire", "m-1")
    on.card.reset()
    assert card_desk(authority, on, "quay", "pier").personalise("desfire", "m-1") == reference
    on.card.reset()
    with pytest.raises(CardIssued):
        card_desk(authority, on, "quay").personalise("desfire", "m-1")


def test_another_familys_card_is_refused_unwritten(authority: Authority) -> None:
    for family in FAMILIES:
        for other in FAMILIES:
            on = direct(blank(other))
            if other != family and FAMILIES[other].technology is FAMILIES[family].technology:
                with pytest.raises(CardUnknown):
                    card_desk(authority, on, *sites_of(family)).personalise(family, "m-1")


@pytest.mark.parametrize("family", sorted(NUMBERS))
def test_a_number_is_registered_and_earns(
    authority: Authority, device: Pn532Device, reader: Reader, family: str
) -> None:
    desk = card_desk(authority, reader, "quay", "pier")
    device.insert(blank(family))
    try:
        identity: CardIdentity = desk.register("m-1", present_s=5.0)
        with pytest.raises(NoPurse):
            desk.load(1, present_s=5.0)
        assert desk.show(present_s=5.0).site is None
    finally:
        device.remove()
        assert reader.wait_for_removal(5.0)
    assert (identity.family, identity.assurance) == (family, CardClass.UID)


@pytest.mark.parametrize("frame", [1, 2, 3])
def test_a_card_torn_away_is_not_registered_as_a_number(
    authority: Authority, device: Pn532Device, reader: Reader, frame: int
) -> None:
    desk = card_desk(authority, reader, "pier")
    device.insert(blank("ultralight"))
    try:
        desk.personalise("ultralight", "m-1", present_s=5.0)
        device.faults.cut_after(frame, answer_lost=True)
        with pytest.raises(CardGone):
            desk.register("m-1", present_s=5.0)
    finally:
        device.faults.clear()
        device.remove()
        assert reader.wait_for_removal(5.0)


def purse(authority: Authority, family: str) -> tuple[CardDesk, DirectReader]:
    """An issued card with a purse, on a reader."""
    on = direct(blank(family))
    assert isinstance(on, DirectReader)
    desk = card_desk(authority, on, "quay", "pier")
    desk.personalise(family, "m-1")
    on.sent.clear()
    return desk, on


@pytest.mark.parametrize("family", PURSES)
def test_money_is_put_on_a_purse(authority: Authority, family: str) -> None:
    desk, on = purse(authority, family)
    assert [desk.load(amount).balance for amount in (5_000, 300)] == [5_000, 5_300]
    on.card.reset()
    assert desk.show().identity.balance_before == 5_300
    for amount in (2_000_000, 2**40):
        with pytest.raises((LoadTooLarge, CardRefused)):
            desk.load(amount)
    assert desk.load(1).balance == 5_301
    assert not list((authority.folder / "loads").iterdir())


@pytest.mark.parametrize("family", PURSES)
@pytest.mark.parametrize("answer_lost", [False, True], ids=["unheard", "answer-lost"])
def test_a_load_torn_anywhere_is_on_the_card_once(
    authority: Authority, family: str, *, answer_lost: bool
) -> None:
    desk, whole = purse(authority, family)
    desk.load(700)
    for at in range(1, len(whole.sent) + 1):
        desk, on = purse(authority, family)
        on.faults.cut_after(at, answer_lost=answer_lost)
        with pytest.raises((CardGone, LoadTorn)):
            desk.load(700)
        on.card.reset()
        loaded = desk.load(700)
        assert loaded.balance == 700, at
        assert desk.loads.pending(loaded.reference) is None


def test_a_load_that_the_card_cannot_explain_is_left_to_a_person(authority: Authority) -> None:
    desk, whole = purse(authority, "pboc_purse")
    desk.load(100)
    desk, on = purse(authority, "pboc_purse")
    on.faults.cut_after(len(whole.sent))
    with pytest.raises(LoadTorn):
        desk.load(100)
    on.card.reset()
    reference = desk.show().identity.reference
    intent = desk.loads.pending(reference)
    assert intent is not None
    desk.loads.forget(reference)  # as at another desk
    desk.load(100)
    desk.loads.note(reference, intent)
    with pytest.raises(LoadUnclear):
        desk.load(100)
    assert desk.show().identity.balance_before == 200


@pytest.mark.parametrize("family", PURSES)
@pytest.mark.parametrize("unreadable", [b"{}", b"", b"\xff"], ids=["other", "empty", "garbage"])
def test_a_load_whose_intent_cannot_be_read_is_left_to_a_person(
    authority: Authority, family: str, unreadable: bytes
) -> None:
    desk, whole = purse(authority, family)
    desk.load(700)
    desk, on = purse(authority, family)
    on.faults.cut_after(len(whole.sent), answer_lost=True)
    with pytest.raises(LoadTorn):
        desk.load(700)
    on.card.reset()
    identity = desk.show().identity
    assert identity.balance_before == 700
    desk.loads.note(identity.reference, unreadable)
    for _ in range(2):
        on.card.reset()
        with pytest.raises(LoadUnclear):
            desk.load(700)
    assert desk.loads.pending(identity.reference) == unreadable
    assert desk.show().identity.balance_before == 700


def test_a_load_too_large_leaves_nothing_open(authority: Authority) -> None:
    desk, _ = purse(authority, "desfire")
    reference = desk.show().identity.reference
    with pytest.raises(LoadTooLarge):
        desk.load(PURSE_LIMIT + 1)
    assert desk.loads.pending(reference) is None
