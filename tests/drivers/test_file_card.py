"""The CPU card with files: its member file under secure messaging, what is refused, torn cards."""

from __future__ import annotations

import time
from dataclasses import replace
from os import urandom

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.apdu import ResponseApdu
from drivers.card import CardTrust
from drivers.cards import file_card as family
from drivers.cards.file_card import Member, identify, personalise
from drivers.errors import (
    CardExpired,
    CardForeign,
    CardForged,
    CardGone,
    CardUnknown,
    ChannelBroken,
    DriverError,
)
from drivers.exchange import Deadlines, hold
from drivers.virtual.cards.file_card_state import TRIES, FileCardState
from protocol.card_keys import SiteKey
from protocol.credential import card_reference
from protocol.estate import EstateKey
from protocol.record import CardClass
from tests.drivers.file_card_world import (
    FILE_TRUST,
    KEYS,
    SITES,
    TRANSPORT,
    ask,
    blank_card,
    file_card,
    issue,
    member,
    member_of,
    state,
)
from tests.drivers.frame_world import ESTATE, PIER, QUAY, check_transcript, draws, spoken
from tests.drivers.rigs import Rig, present
from tests.drivers.world import (
    NONCE,
    PRESENTED,
    TODAY,
    TRUST,
    DirectReader,
    do,
    member_card,
    serial,
)


def test_a_member_file_is_read_in_four_commands_and_never_in_clear() -> None:
    reader = DirectReader(file_card())
    identity = ask(reader)
    assert identity.assurance is CardClass.SECURE
    assert identity.reference == card_reference(TRUST.reference_key, "file_card", serial(1))
    assert [command[:2].hex() for command in reader.sent] == ["00a4", "0084", "0082", "0cb0"]
    assert len(identity.proof) == 96
    assert serial(1).hex() not in repr(identity)


@pytest.mark.parametrize("site", [QUAY, PIER])
def test_each_site_has_a_key_of_its_own(site: SiteKey) -> None:
    assert ask(DirectReader(file_card()), replace(FILE_TRUST, site=site)).counter is None


@pytest.mark.parametrize(
    ("trust", "error"),
    [
        (TRUST, CardForeign),
        (replace(TRUST, site=ESTATE.site_key("mall", 0)), CardForeign),
        (replace(TRUST, site=ESTATE.site_key("mall", 1)), CardForeign),
        (replace(FILE_TRUST, tenant="elsewhere"), CardForeign),
        (replace(FILE_TRUST, day=TODAY + 2), CardExpired),
    ],
)
def test_a_card_that_is_not_for_here(trust: CardTrust, error: type[DriverError]) -> None:
    with pytest.raises(error):
        ask(DirectReader(file_card()), trust)


def test_a_wrong_site_key_costs_a_try_and_a_right_one_gives_it_back() -> None:
    reader = DirectReader(file_card())
    with pytest.raises(CardForeign):
        ask(reader, replace(TRUST, site=ESTATE.site_key("mall", 0)))
    assert state(reader).keys[family.READ_KEYS].tries == TRIES - 1
    ask(reader)
    assert state(reader).keys[family.READ_KEYS].tries == TRIES


def test_the_file_of_another_card_is_forged() -> None:
    with pytest.raises(CardForged, match="another card"):
        ask(DirectReader(file_card(1, member(2))))


def test_another_card_is_left_to_the_next_family() -> None:
    with pytest.raises(CardUnknown):
        ask(DirectReader(member_card(1)))


def test_a_changed_answer_is_noticed() -> None:
    card, dialogue = file_card(), identify(FILE_TRUST, PRESENTED, NONCE)
    command = next(dialogue)
    for _ in range(3):
        command = dialogue.send(ResponseApdu.decode(card.transmit(command.encode())))
    answer = bytearray(card.transmit(command.encode()))
    answer[5] ^= 1
    with pytest.raises(ChannelBroken):
        dialogue.send(ResponseApdu.decode(bytes(answer)))


def test_a_blank_card_becomes_one_that_works_at_its_sites() -> None:
    reader = DirectReader(blank_card())
    assert issue(reader) == serial(1)
    for site in (QUAY, PIER):
        assert ask(reader, replace(FILE_TRUST, site=site)).assurance is CardClass.SECURE
    assert TRANSPORT.secret not in [key.value for key in state(reader).keys.values()]


def test_an_issued_card_takes_another_site_and_a_later_day() -> None:
    reader = DirectReader(file_card())
    longer = member()._replace(expires_day=TODAY + 400)
    mall = ESTATE.site_key("mall", 6)
    issue(reader, (*SITES, mall), lambda _: longer)
    trust = replace(FILE_TRUST, site=mall, day=TODAY + 400)
    assert ask(reader, trust).assurance is CardClass.SECURE


def test_a_card_that_others_issued_is_left_as_it_is() -> None:
    reader = DirectReader(file_card())
    files = FileCardState.load(state(reader).dump()).files
    others = replace(KEYS, change=EstateKey(bytes(32)).change_key)
    with pytest.raises(CardForeign):
        do(personalise(TRANSPORT, others, member_of, urandom), reader)
    assert state(reader).files == files
    assert state(reader).keys[family.CHANGE_KEY].tries == TRIES - 2


@pytest.mark.parametrize("lost", [False, True])
def test_a_card_torn_away_at_any_command_is_presented_once_more(lost: bool) -> None:  # noqa: FBT001
    whole = DirectReader(blank_card())
    issue(whole)
    for apdu in range(1, len(whole.sent) + 1):
        reader = DirectReader(blank_card())
        reader.faults.cut_after(apdu, answer_lost=lost)
        with pytest.raises(CardGone):
            issue(reader)
        issue(reader)
        assert ask(reader).assurance is CardClass.SECURE
        assert state(reader).keys == state(whole).keys


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=60), max_size=5))
def test_garbage_from_a_card_is_a_driver_error(answers: list[bytes]) -> None:
    dialogue = identify(FILE_TRUST, PRESENTED, NONCE)
    next(dialogue)
    with pytest.raises(DriverError):  # noqa: PT012 - whichever answer ends it
        for answer in answers:
            dialogue.send(ResponseApdu(answer, 0x9000))
        dialogue.send(ResponseApdu(b"", 0x6F00))


@given(st.binary(max_size=60))
def test_a_member_file_is_read_or_refused(data: bytes) -> None:
    try:
        Member.decode(data)
    except DriverError:
        return


def test_over_a_real_reader_stack(rig: Rig) -> None:
    rig.carrier.insert(file_card())
    with rig.reader() as reader:
        shown = present(reader)
        dialogue = identify(FILE_TRUST, shown, NONCE)
        found = hold(dialogue, reader, Deadlines(), time.monotonic, extended=shown.extended)
    assert found.reference == card_reference(TRUST.reference_key, "file_card", serial(1))


def test_the_dialogue_is_as_recorded() -> None:
    reader = DirectReader(file_card(draw=draws()))
    ask(reader)
    title = f"A member file under secure messaging; nonce {NONCE.hex()}."
    check_transcript("file_card/member.txt", spoken(reader.said, title))
