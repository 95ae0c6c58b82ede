"""The software file card keeps its contract: rights, tries, challenges, records, sessions."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import iso7816
from drivers.apdu import CommandApdu, ResponseApdu
from drivers.cards.file_card import (
    APPLICATION,
    MEMBER_FILE,
    READ_KEYS,
    key_input,
    open_session,
    select,
)
from drivers.secure_channel.retail_mac import Session
from drivers.virtual.cards.file_card import FileCard
from drivers.virtual.cards.file_card_state import TRIES, FileCardState
from protocol.block_cipher import one_block, triple_des
from tests.drivers.file_card_world import (
    LOCKED,
    NOTES,
    PIN,
    PLAIN_KEY,
    PLAIN_SECRET,
    PUBLIC,
    VISITS,
    file_card,
)
from tests.drivers.frame_world import QUAY
from tests.drivers.world import NONCE, DirectReader, do, serial


def say(card: FileCard, command: CommandApdu) -> ResponseApdu:
    return ResponseApdu.decode(card.transmit(command.encode()))


def selected() -> FileCard:
    card = file_card()
    assert say(card, iso7816.select_name(APPLICATION)).ok
    return card


def prove(card: FileCard, secret: bytes = PLAIN_SECRET) -> ResponseApdu:
    challenge = say(card, iso7816.get_challenge(8)).data
    proof = one_block(triple_des(secret), challenge)
    return say(card, iso7816.external_authenticate(PLAIN_KEY, proof))


def session(card: FileCard) -> Session:
    reader = DirectReader(card)
    do(select(), reader)
    key = QUAY.read_key(key_input(serial(1), READ_KEYS))
    return do(open_session(key, READ_KEYS, NONCE), reader).session


def test_nothing_but_selection_before_selection() -> None:
    card = file_card()
    assert say(card, iso7816.read_binary(PUBLIC, 5)).sw == 0x6985
    assert say(card, iso7816.select_name(b"another")).sw == 0x6A82


def test_a_file_is_selected_by_its_path() -> None:
    card = file_card()
    assert say(card, iso7816.select_path(bytes.fromhex("DF010006"))).ok
    assert say(card, CommandApdu(0, 0xB0, 0, 1, ne=4)) == ResponseApdu(b"ello", 0x9000)
    assert say(card, iso7816.select_path(bytes.fromhex("DF010099"))).sw == 0x6A82
    assert say(card, iso7816.read_binary(PUBLIC, 9)) == ResponseApdu(b"hello", 0x6282)


@pytest.mark.parametrize("sfi", [MEMBER_FILE, NOTES, LOCKED])
def test_a_file_is_not_read_without_its_right(sfi: int) -> None:
    card = selected()
    assert say(card, iso7816.read_binary(sfi, 4)).sw == 0x6982
    assert say(card, iso7816.update_binary(sfi, b"x")).sw == 0x6982


def test_the_pin_opens_its_file_until_power_or_selection_is_lost() -> None:
    card = selected()
    assert say(card, iso7816.verify(1, PIN)).ok
    assert say(card, iso7816.read_binary(NOTES, 4)).ok
    assert say(card, iso7816.update_binary(NOTES, b"x")).sw == 0x6982
    assert say(card, iso7816.select_name(APPLICATION)).ok
    assert say(card, iso7816.read_binary(NOTES, 4)).sw == 0x6982


def test_wrong_pins_are_counted_over_power_off_and_block() -> None:
    card = selected()
    for left in reversed(range(TRIES)):
        assert iso7816.tries_left(say(card, iso7816.verify(1, b"0000"))) == left
        card.reset()
        say(card, iso7816.select_name(APPLICATION))
        assert iso7816.tries_left(say(card, iso7816.verify(1, b""))) == left
    assert say(card, iso7816.verify(1, PIN)).sw == 0x6983


def test_a_right_pin_gives_the_tries_back() -> None:
    card = selected()
    say(card, iso7816.verify(1, b"0000"))
    assert say(card, iso7816.verify(1, PIN)).ok
    assert iso7816.tries_left(say(card, iso7816.verify(1, b""))) == TRIES


def test_a_key_opens_its_file_and_wrong_ones_block() -> None:
    card = selected()
    assert prove(card).ok
    assert say(card, iso7816.update_binary(NOTES, b"x")).ok
    for left in reversed(range(TRIES)):
        assert prove(card, bytes(16)).sw == 0x63C0 | left
    assert prove(card).sw == 0x6983


def test_a_challenge_is_good_once_and_for_the_next_command_alone() -> None:
    card = selected()
    challenge = say(card, iso7816.get_challenge(8)).data
    reflected = say(card, iso7816.internal_authenticate(PLAIN_KEY, challenge)).data
    assert reflected == one_block(triple_des(PLAIN_SECRET), challenge)
    assert say(card, iso7816.external_authenticate(PLAIN_KEY, reflected)).sw == 0x6985


def test_records_are_appended_read_changed_and_bounded() -> None:
    card = selected()
    assert say(card, iso7816.append_record(VISITS, b"one")).sw == 0x6982
    say(card, iso7816.verify(1, PIN))
    for data in (b"one", b"two", b"three"):
        assert say(card, iso7816.append_record(VISITS, data)).ok
    assert say(card, iso7816.append_record(VISITS, b"four")).sw == 0x6A84
    assert say(card, iso7816.update_record(VISITS, 2, b"TWO")).ok
    assert say(card, iso7816.read_record(VISITS, 2)).data == b"TWO"
    assert say(card, iso7816.read_record(VISITS, 4)).sw == 0x6A83
    assert say(card, iso7816.read_binary(VISITS, 1)).sw == 0x6981
    assert say(card, iso7816.read_record(PUBLIC, 1)).sw == 0x6981


def test_a_site_key_reads_the_member_file_and_does_not_write_it() -> None:
    card = file_card()
    channel = session(card)
    read = say(card, channel.protect(iso7816.read_binary(MEMBER_FILE, 16)))
    assert len(channel.open(read).data) == 16
    write = say(card, channel.protect(iso7816.update_binary(MEMBER_FILE, b"x")))
    assert channel.open(write).sw == 0x6982


@pytest.mark.parametrize("at", range(5, 18))
def test_a_changed_command_ends_the_session(at: int) -> None:
    card = file_card()
    channel = session(card)
    good = channel.protect(iso7816.read_binary(MEMBER_FILE, 16)).encode()
    changed = good[:at] + bytes((good[at] ^ 1,)) + good[at + 1 :]
    assert card.transmit(changed)[-2:] == b"\x69\x88"
    assert card.transmit(good)[-2:] == b"\x69\x88"


def test_a_command_said_twice_or_after_a_plain_one_ends_the_session() -> None:
    card = file_card()
    said = session(card).protect(iso7816.read_binary(MEMBER_FILE, 16)).encode()
    assert card.transmit(said)[-2:] == b"\x90\x00"
    assert card.transmit(said)[-2:] == b"\x69\x88"
    later = session(card).protect(iso7816.read_binary(MEMBER_FILE, 16)).encode()
    say(card, iso7816.read_binary(PUBLIC, 5))
    assert card.transmit(later)[-2:] == b"\x69\x88"


def test_a_stored_card_comes_back_as_it_was() -> None:
    card = selected()
    say(card, iso7816.verify(1, PIN))
    say(card, iso7816.append_record(VISITS, b"one"))
    assert FileCardState.load(card.state.dump()) == card.state


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=60), max_size=6))
def test_any_bytes_get_a_status_word(said: list[bytes]) -> None:
    card = selected()
    for data in said:
        assert len(card.transmit(data)) >= 2
        assert len(card.transmit(b"\x00" + data)) >= 2
