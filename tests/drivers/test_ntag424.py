"""NTAG 424 DNA: both ways to know it, both modes, every tear."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from functools import partial

import pytest

from drivers.card import CardIdentity, CardTrust
from drivers.cards.ntag424 import (
    FAMILY,
    TagKeys,
    identify,
    identify_by_sun,
    personalise,
    read_link,
)
from drivers.errors import (
    CardForeign,
    CardForged,
    CardGone,
    CardIssued,
    CardRefused,
    CardUnknown,
    ChannelBroken,
)
from drivers.exchange import Deadlines, hold
from drivers.reader import ReaderSettings
from drivers.readers import nfc
from drivers.virtual.cards.ntag424 import FAILURES_FREE, Ntag424Card
from drivers.virtual.cards.ntag424_state import Ntag424State
from drivers.virtual.pn532 import Pn532Device
from protocol.card_keys import SiteKey, card_input
from protocol.credential import card_reference
from protocol.errors import SunRefused
from protocol.record import CardClass
from protocol.sun import SunMode
from protocol.sun_link import file_key, meta_key, parse, template
from tests.drivers.frame_world import (
    ESTATE,
    OTHER_SITE,
    SITE,
    SITE_TRUST,
    check_transcript,
    draws,
    transcript,
)
from tests.drivers.rigs import rig
from tests.drivers.world import NONCE, TENANT, TRUST, DirectReader, examiner
from tests.services.pcscd import Pcscd

UID = bytes.fromhex("04616263646566")
PAGE = "card.example/t"
MODES = pytest.mark.parametrize("mode", list(SunMode), ids=lambda mode: mode.value)
REFERENCE = card_reference(TRUST.reference_key, FAMILY, UID)


def tag_keys(site: SiteKey = SITE) -> TagKeys:
    change, spare = (ESTATE.change_key(card_input(UID, b"NDE", slot)) for slot in (0, 4))
    return TagKeys(change, spare, site)


def issue(reader: DirectReader, mode: SunMode = SunMode.AES, site: SiteKey = SITE) -> bytes:
    """Personalise the tag on the reader."""
    reader.card.reset()
    layout = partial(template, PAGE, site.site, TENANT)
    nonce = iter(bytes((n,)) * 15 + b"\x01" for n in range(9))
    lrp = mode is SunMode.LRP
    dialogue = personalise(tag_keys(site), layout, lambda: next(nonce), lrp=lrp)
    return hold(dialogue, reader, Deadlines(), time.monotonic, extended=False)


def issued(mode: SunMode = SunMode.AES, site: SiteKey = SITE) -> Ntag424Card:
    card = Ntag424Card(Ntag424State(UID), draw=draws())
    assert issue(DirectReader(card), mode, site) == UID
    return Ntag424Card(card.state, draw=draws())


def ask(
    reader: DirectReader, trust: CardTrust = SITE_TRUST, uid: bytes | None = UID
) -> CardIdentity:
    """Hold the dialogue with the tag on the reader."""
    reader.card.reset()
    dialogue = identify(trust, replace(reader.presented, uid=uid), NONCE)
    return hold(dialogue, reader, Deadlines(), time.monotonic, extended=False)


def ask_sun(card: Ntag424Card, trust: CardTrust = SITE_TRUST, uid: bytes = UID) -> CardIdentity:
    """Know the tag by its message alone."""
    card.reset()
    card.transmit(bytes.fromhex("00A4040007D276000085010100"))
    reader = DirectReader(card)
    dialogue = identify_by_sun(trust, uid)
    return hold(dialogue, reader, Deadlines(), time.monotonic, extended=False)


@MODES
def test_an_issued_tag_is_proved(mode: SunMode) -> None:
    reader = DirectReader(issued(mode))
    identity = ask(reader)
    assert (identity.reference, identity.assurance) == (REFERENCE, CardClass.SECURE)
    assert identity.counter == 0
    assert len(reader.sent) == (4 if mode is SunMode.AES else 5)
    text = transcript(f"An NTAG 424 DNA in {mode.name} mode.", reader.said, identity)
    check_transcript(f"ntag424/{mode.value}.txt", text)


def test_a_reader_that_tells_no_uid_costs_three_commands() -> None:
    reader = DirectReader(issued())
    assert ask(reader, uid=None).reference == REFERENCE
    assert len(reader.sent) == 7


@MODES
def test_a_message_of_the_tag_is_verified_and_counts_reads(mode: SunMode) -> None:
    card = issued(mode)
    first, second = ask_sun(card), ask_sun(card)
    assert (first.reference, first.assurance) == (REFERENCE, CardClass.UID)
    assert (first.counter, second.counter) == (1, 2)
    assert ask(DirectReader(card)).counter == 2


@MODES
def test_the_proof_of_a_message_is_its_link(mode: SunMode) -> None:
    link = parse(b"?s=" + ask_sun(issued(mode)).proof)
    picc = link.open(meta_key(SITE))
    assert link.check(picc, file_key(SITE, UID)) == TENANT
    assert (picc.uid, picc.counter, picc.mode) == (UID, 1, mode)


def test_others_wrong_attempts_do_not_lock_a_member_out() -> None:
    card = issued()
    for _ in range(FAILURES_FREE):
        with pytest.raises(CardForeign):
            ask(DirectReader(card), replace(SITE_TRUST, site=OTHER_SITE))
    identity = ask(DirectReader(Ntag424Card(Ntag424State.load(card.state.dump()))))
    assert (identity.reference, identity.assurance) == (REFERENCE, CardClass.UID)


def test_without_a_site_key_it_is_foreign() -> None:
    with pytest.raises(CardForeign):
        ask(DirectReader(issued()), TRUST)
    with pytest.raises(CardForeign):
        ask(DirectReader(Ntag424Card(Ntag424State(UID))))


def test_a_message_of_another_tag_site_or_tenant_is_refused() -> None:
    card = issued()
    with pytest.raises(CardForged):
        ask_sun(card, uid=bytes(7))
    with pytest.raises(CardForged):
        ask_sun(card, replace(SITE_TRUST, site=OTHER_SITE))
    with pytest.raises(CardForeign):
        ask_sun(card, replace(SITE_TRUST, tenant="someone"))
    with pytest.raises(CardForged):
        ask_sun(Ntag424Card(Ntag424State(UID)))


@MODES
def test_every_changed_character_of_a_message_is_noticed(mode: SunMode) -> None:
    card = issued(mode)
    card.reset()
    card.transmit(bytes.fromhex("00A4040007D276000085010100"))
    text = hold(read_link(), DirectReader(card), Deadlines(), time.monotonic, extended=False)
    for at in range(text.index(b"?"), len(text)):
        other = b"0" if text[at : at + 1] != b"0" else b"1"
        with pytest.raises(SunRefused):
            _verified(text[:at] + other + text[at + 1 :])


def _verified(text: bytes) -> str:
    link = parse(text)
    return link.check(link.open(meta_key(SITE)), file_key(SITE, UID))


class _Changing(Ntag424Card):
    """Flips one bit of the data of one answer."""

    def __init__(self, state: Ntag424State, answer: int, bit: int) -> None:
        super().__init__(state, draw=draws())
        self._left, self._bit = answer, bit

    def transmit(self, apdu: bytes) -> bytes:
        answer = super().transmit(apdu)
        self._left -= 1
        if self._left != -1:
            return answer
        data = int.from_bytes(answer, "big") ^ 1 << (16 + self._bit)
        return data.to_bytes(len(answer), "big")


@MODES
@pytest.mark.parametrize("answer", [1, 2, 3])
def test_every_changed_bit_of_an_answer_is_noticed(mode: SunMode, answer: int) -> None:
    honest = DirectReader(issued(mode))
    ask(honest)
    at = answer + (mode is SunMode.LRP)
    state = issued(mode).state
    for bit in range(0, 8 * (len(honest.said[at][1]) - 2), 5):
        state.failures = 0
        with pytest.raises((CardForeign, CardForged, ChannelBroken)):
            ask(DirectReader(_Changing(state, at, bit)))


def _personalise_apdus(mode: SunMode) -> int:
    reader = DirectReader(Ntag424Card(Ntag424State(UID), draw=draws()))
    issue(reader, mode)
    return len(reader.sent)


@MODES
@pytest.mark.parametrize("answer_lost", [False, True], ids=["before", "after"])
def test_a_tag_torn_away_at_any_command_is_issued_the_next_time(
    mode: SunMode, *, answer_lost: bool
) -> None:
    for apdu in range(1, _personalise_apdus(mode) + 1):
        card = Ntag424Card(Ntag424State(UID), draw=draws())
        reader = DirectReader(card)
        reader.faults.cut_after(apdu, answer_lost=answer_lost)
        with pytest.raises(CardGone):
            issue(reader, mode)
        again = Ntag424Card(Ntag424State.load(card.state.dump()), draw=draws())
        with suppress(CardIssued):  # the answer to the last command was lost
            issue(DirectReader(again), mode)
        assert again.state.lrp is (mode is SunMode.LRP)
        assert again.state.keys == list(tag_keys().slots(UID))
        assert ask(DirectReader(again)).assurance is CardClass.SECURE
        assert ask_sun(again).counter == 1


@pytest.mark.parametrize("answer_lost", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("apdu", [1, 2, 3, 4])
def test_a_tag_torn_away_while_it_is_read(apdu: int, *, answer_lost: bool) -> None:
    card = issued()
    reader = DirectReader(card)
    reader.faults.cut_after(apdu, answer_lost=answer_lost)
    with pytest.raises(CardGone):
        ask(reader)
    assert ask(reader).counter == 0


def test_the_same_through_nfcpys_driver() -> None:
    device = Pn532Device()
    device.insert(issued(SunMode.LRP))
    reader = nfc.READER.open(ReaderSettings(f"tty:{device.path}"))
    try:
        presented = reader.wait_for_card(5.0)
        assert presented
        assert examiner(SITE_TRUST).identify(reader, presented).reference == REFERENCE
    finally:
        reader.close()
        device.close()


@pytest.mark.pcscd
def test_the_same_over_pcsc(pcscd: Pcscd) -> None:
    slot = rig("pcsc", lambda: pcscd)
    slot.carrier.insert(issued())
    with slot.reader() as reader:
        presented = reader.wait_for_card(5.0)
        assert presented
        assert examiner(SITE_TRUST).identify(reader, presented).reference == REFERENCE
    slot.carrier.close()


APPLICATION = "00A4040007D276000085010100"


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("9064000001 00 00", "91ae"),  # nobody authenticated
        ("90C4000001 00 00", "91ae"),
        ("905F000001 02 00", "91ae"),
        ("90F6000001 02 00", "91ae"),
        ("908D00000B 02 000000 040000 66726565 00", "919d"),
        ("9071000002 0700 00", "9140"),
        ("90AF000001 00 00", "911c"),
        ("9011000000", "911c"),
        ("00B0000000", "6986"),
    ],
)
def test_an_issued_tag_lets_nobody_in(command: str, status: str) -> None:
    card = issued()
    before = card.state.dump()
    card.transmit(bytes.fromhex(APPLICATION))
    assert card.transmit(bytes.fromhex(command))[-2:].hex() == status
    assert card.state.dump() == before


def test_the_sites_key_reads_and_changes_nothing() -> None:
    card = issued()
    ask(DirectReader(card))
    for ins in ("C4", "5F", "5C"):
        assert card.transmit(bytes.fromhex(f"90{ins}000001 00 00"))[-2:].hex() in ("919d", "91ae")
    assert card.state.keys == list(tag_keys().slots(UID))


def test_a_wrong_mac_ends_the_session() -> None:
    card = issued()
    ask(DirectReader(card))
    assert card.transmit(bytes.fromhex("90F6000009 02 0000000000000000 00")).hex() == "911e"
    assert card.transmit(bytes.fromhex("90F6000009 02 0000000000000000 00")).hex() == "91ae"


@MODES
def test_a_finished_tag_stays_as_it_is_with_its_count(mode: SunMode) -> None:
    card = issued(mode)
    assert ask_sun(card).counter == 1
    before = card.state.dump()
    with pytest.raises(CardIssued):
        issue(DirectReader(card))
    with pytest.raises(CardIssued if mode is SunMode.LRP else CardRefused):
        issue(DirectReader(card), SunMode.LRP)
    assert Ntag424State.load(before) == replace(card.state, failures=0)
    assert ask_sun(card).counter == 2


def test_a_tag_in_neither_state_is_not_touched() -> None:
    card = issued(site=OTHER_SITE)
    card.state.keys[0] = bytes(range(16))
    before = card.state.keys[:]
    with pytest.raises((CardForeign, CardRefused, CardUnknown)):
        issue(DirectReader(card))
    assert card.state.keys == before
