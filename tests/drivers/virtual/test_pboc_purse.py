"""The software PBOC purse keeps its contract: MACs, tries, numbers, limits, order of commands."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.cards.pboc_purse import (
    begin,
    debit,
    get_balance,
    offer_load,
)
from drivers.errors import (
    CardRefused,
)
from drivers.virtual.cards.pboc_purse_state import MAC_TRIES, PurseState
from tests.drivers.frame_world import QUAY
from tests.drivers.purse_world import (
    AMOUNT,
    BALANCE,
    TERMINAL,
    ask,
    begun,
    claim,
    opened,
    pay,
    purse_card,
    state,
)
from tests.drivers.world import DirectReader, do

QUAY_OTHER = QUAY.read_key(b"another card")


def say(reader: DirectReader, apdu: str) -> str:
    return reader.card.transmit(bytes.fromhex(apdu)).hex()


def test_nothing_runs_before_selection() -> None:
    reader = DirectReader(purse_card())
    for apdu in ("805C000204", "00B095001E", "80500102" + "0B" + "01" + "00" * 10):
        assert say(reader, apdu) == "6985"


def test_a_wrong_mac_is_refused_and_counted_and_ends_the_transaction() -> None:
    reader = DirectReader(purse_card())
    for left in reversed(range(MAC_TRIES)):
        purse, purchase = begun(reader)
        with pytest.raises(CardRefused) as refused:
            do(debit(replace(purse, key=QUAY_OTHER), purchase), reader)
        assert refused.value.status == 0x9302
        assert state(reader).mac_tries == left
        assert say(reader, "805401000F" + "00" * 15) == ("6901" if left else "9303")
        if not left:
            break
    with pytest.raises(CardRefused) as refused:
        opened(reader)
    assert refused.value.status == 0x9303
    assert state(reader).purse.balance == BALANCE


def test_a_good_mac_gives_the_tries_back() -> None:
    reader = DirectReader(purse_card())
    state(reader).mac_tries = 1
    pay(reader, claim())
    assert state(reader).mac_tries == MAC_TRIES


def test_what_was_begun_ends_with_the_next_command_or_power() -> None:
    reader = DirectReader(purse_card())
    purse, purchase = begun(reader)
    do(get_balance(), reader)
    with pytest.raises(CardRefused) as refused:
        do(debit(purse, purchase), reader)
    assert refused.value.status == 0x6901
    purse, purchase = begun(reader)
    reader.card.reset()
    with pytest.raises(CardRefused):
        do(debit(purse, purchase), reader)
    assert ask(reader).balance_before == BALANCE


def test_a_debit_cannot_be_said_twice() -> None:
    reader = DirectReader(purse_card())
    purse, purchase = begun(reader)
    do(debit(purse, purchase), reader)
    for _ in range(2):
        with pytest.raises(CardRefused):
            do(debit(purse, purchase), reader)
        reader.card.reset()
        do(begin(opened(reader), claim(2)), reader)  # another offer: the MAC of the first is wrong
    assert ask(reader).balance_before == BALANCE - AMOUNT


def test_limits_of_balance_and_of_numbers() -> None:
    reader = DirectReader(purse_card())
    purse = opened(reader)
    with pytest.raises(CardRefused):
        do(offer_load(purse, state(reader).limit - BALANCE + 1, TERMINAL), reader)
    assert say(reader, "805001020B01" + f"{BALANCE + 1:08x}" + TERMINAL.hex()) == "9401"
    assert say(reader, "805001020B09" + f"{1:08x}" + TERMINAL.hex()) == "9403"
    state(reader).purse.offline_seq = 0xFFFF
    with pytest.raises(CardRefused) as refused:
        opened(reader)
    assert refused.value.status == 0x9402


def test_the_deposit_is_not_the_purse() -> None:
    reader = DirectReader(purse_card())
    opened(reader)
    assert say(reader, "805C000104") == "00000000" + "9000"
    assert say(reader, "805C000304") == "6a86"


def test_a_stored_card_comes_back_as_it_was() -> None:
    reader = DirectReader(purse_card())
    pay(reader, claim())
    kept = PurseState.load(state(reader).dump())
    assert kept == state(reader)


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=30), max_size=8))
def test_any_bytes_get_a_status_word_and_move_no_money(apdus: list[bytes]) -> None:
    card = purse_card()
    opened(DirectReader(card))
    for apdu in apdus:
        assert len(card.transmit(b"\x80" + apdu)) >= 2
    assert card.state.purse.balance == BALANCE
