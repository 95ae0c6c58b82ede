"""A PBOC purse becomes a member card, also when it is torn away at any command on the way."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from drivers.apdu import CommandApdu
from drivers.cards.pboc_purse import open_purse
from drivers.errors import CardExpired, CardForeign, CardGone, CardRefused, CardUnknown
from drivers.personalise_pboc import LINE_KEY, PurseKeys, personalise
from drivers.secure_channel.pboc_issuer import KeyKind, write_key
from drivers.virtual.cards.pboc_purse import PbocPurseCard
from drivers.virtual.cards.pboc_purse_state import MAC_TRIES, PurseState
from protocol.card_keys import TransportKey
from protocol.estate import EstateKey
from tests.drivers.frame_world import ESTATE, PIER, QUAY
from tests.drivers.purse_world import PURSE_TRUST, claim, fill, number, opened, pay
from tests.drivers.world import NONCE, DirectReader, do, member_card

TRANSPORT = TransportKey(bytes(range(16)))
LAST_DAY = (date(2024, 12, 31) - date(1970, 1, 1)).days


def keys_of(estate: EstateKey) -> PurseKeys:
    """Keys of a card of two sites."""
    return PurseKeys(estate.change_key, estate.credit_key, estate.transaction_key, (QUAY, PIER))


def blank_purse() -> DirectReader:
    """A card as it is delivered, on a reader."""
    return DirectReader(PbocPurseCard(PurseState.blank(number(), TRANSPORT.secret)))


def issue(reader: DirectReader, keys: PurseKeys | None = None) -> bytes:
    """Personalise the card on the reader."""
    reader.card.reset()
    return do(personalise(TRANSPORT, keys or keys_of(ESTATE), LAST_DAY), reader)


def state(reader: DirectReader) -> PurseState:
    """What the card keeps."""
    assert isinstance(reader.card, PbocPurseCard)
    return reader.card.state


def test_a_blank_card_becomes_one_that_is_loaded_and_pays() -> None:
    reader = blank_purse()
    assert issue(reader) == number()
    fill(reader, 1_000)
    pay(reader, claim())
    assert opened(reader).balance == 300
    assert set(state(reader).purchase_keys) == {1, 4}
    assert TRANSPORT.secret not in state(reader).dump()
    with pytest.raises(CardExpired):
        do(open_purse(replace(PURSE_TRUST, day=LAST_DAY + 1), NONCE), reader)


def test_an_issued_card_may_be_issued_again_and_keeps_its_money() -> None:
    reader = blank_purse()
    issue(reader)
    fill(reader, 1_000)
    issue(reader)
    assert opened(reader).balance == 1_000
    assert state(reader).mac_tries == MAC_TRIES


def test_a_card_that_others_issued_is_left_as_it_is() -> None:
    reader = blank_purse()
    issue(reader)
    before = state(reader).dump()
    with pytest.raises(CardForeign):
        issue(reader, keys_of(EstateKey(bytes(32))))
    assert state(reader).mac_tries == MAC_TRIES - 2
    state(reader).mac_tries = MAC_TRIES
    assert state(reader).dump() == before
    with pytest.raises(CardUnknown):
        issue(DirectReader(member_card()))


def test_no_command_is_good_for_a_second_time_or_without_its_key() -> None:
    reader = blank_purse()
    issue(reader)
    line = ESTATE.change_key(b"".join((number(), b"TLP", bytes((LINE_KEY,)), b"tapledger"))).secret
    ask = CommandApdu(0x00, 0x84, 0x00, 0x00, ne=8)
    card = reader.card
    challenge = card.transmit(ask.encode())[:-2]
    command = write_key(line, challenge, KeyKind.LOAD, 9, bytes(16)).encode()
    assert card.transmit(command) == b"\x90\x00"
    assert card.transmit(command) == b"\x69\x82"
    assert card.transmit(ask.encode())[-2:] == b"\x90\x00"
    assert card.transmit(command) == b"\x93\x02"
    for _ in range(MAC_TRIES):
        challenge = card.transmit(ask.encode())[:-2]
        card.transmit(write_key(bytes(16), challenge, KeyKind.LOAD, 9, bytes(16)).encode())
    with pytest.raises(CardRefused):
        opened(reader)


@pytest.mark.parametrize("lost", [False, True])
def test_a_card_torn_away_at_any_command_is_presented_once_more(lost: bool) -> None:  # noqa: FBT001
    whole = blank_purse()
    issue(whole)
    for apdu in range(1, len(whole.sent) + 1):
        reader = blank_purse()
        reader.faults.cut_after(apdu, answer_lost=lost)
        with pytest.raises(CardGone):
            issue(reader)
        issue(reader)
        assert state(reader).dump() == state(whole).dump()
        assert opened(reader).balance == 0
