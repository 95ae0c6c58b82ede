"""A DESFire becomes a member card, also when it is torn away at any command on the way."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from drivers.apdu import Steps
from drivers.desfire.layout import CHANGE_KEY, CREDIT_KEY, SITE_KEYS
from drivers.desfire.purse import Changed, debit, open_purse
from drivers.desfire.session import (
    PICC,
    Session,
    WrongKey,
    authenticate,
    authenticate_iso,
    get_version,
    key_version,
    select,
)
from drivers.errors import CardForeign, CardGone, CardIssued, CardRefused, CardUnknown
from drivers.personalise_desfire import KEY_VERSION, CardKeys, personalise
from drivers.virtual.cards.desfire import DesfireCard
from drivers.virtual.cards.desfire_state import EV1
from protocol.card_keys import SITE_SLOTS, card_input
from protocol.desfire_purse import APPLICATION, PURSE_FILE, RECORD_FILE, TRANSACTION_FILE, key_input
from protocol.transaction_mac import session_keys, verify
from tests.drivers.desfire_world import (
    ESTATE,
    KEYS,
    QUAY,
    TRANSPORT_KEY,
    blank_desfire,
    factory_desfire,
    intent_of,
    issued_desfire,
    load,
    log_in,
    opened,
    uid,
)
from tests.drivers.world import DirectReader, do, member_card


def issue_to(reader: DirectReader, keys: CardKeys = KEYS, *, again: bool = False) -> bytes:
    """Personalise the card on the reader."""
    reader.card.reset()
    return do(personalise(TRANSPORT_KEY, keys, os.urandom, again=again), reader)


def works(reader: DirectReader) -> bool:
    """Whether value can be put on the card and taken off, under its proof."""
    load(reader, 1_000)
    purse = opened(reader)
    done: Changed = do(debit(purse, intent_of(purse)), reader)
    key = ESTATE.transaction_key(key_input(purse.uid, CHANGE_KEY)).secret
    keys = session_keys(key, done.proof.counter, purse.uid)
    return verify(keys, done.transaction_input, done.proof.mac) and opened(reader).balance == 300


BLANKS = pytest.mark.parametrize("blank", [blank_desfire, factory_desfire])


@BLANKS
def test_a_blank_card_becomes_one_that_works(blank: Callable[[], DesfireCard]) -> None:
    reader = DirectReader(blank())
    assert issue_to(reader) == uid()
    assert works(reader)


def test_the_factorys_key_opens_no_finished_card() -> None:
    reader = DirectReader(factory_desfire())
    issue_to(reader)
    do(select(PICC), reader)
    with pytest.raises(WrongKey):
        do(authenticate_iso(bytes(16), CHANGE_KEY, os.urandom(8)), reader)
    with pytest.raises(WrongKey):
        do(authenticate(bytes(16), CHANGE_KEY, os.urandom(16)), reader)
    assert do(key_version(CHANGE_KEY), reader) == KEY_VERSION


@pytest.mark.parametrize("status", [0x1C, 0x40, 0x9D, 0x9E])
def test_a_key_of_another_kind_is_refused_in_whatever_words(status: int) -> None:
    class Outspoken(DesfireCard):
        def transmit(self, apdu: bytes) -> bytes:
            answer = super().transmit(apdu)
            return bytes((0x91, status)) if answer == b"\x91\xae" else answer

    reader = DirectReader(Outspoken(factory_desfire().state))
    issue_to(reader)
    assert works(reader)
    with pytest.raises(CardIssued):
        issue_to(reader)


def test_no_delivered_key_opens_anything_that_matters() -> None:
    reader = DirectReader(issued_desfire())
    for application, number, key in [
        (PICC, CHANGE_KEY, TRANSPORT_KEY),
        *((APPLICATION, n, bytes(16)) for n in (CHANGE_KEY, CREDIT_KEY, SITE_KEYS, SITE_KEYS + 3)),
    ]:
        do(select(application), reader)
        with pytest.raises(CardRefused):
            do(authenticate(key, number, os.urandom(16)), reader)
    for number in range(SITE_KEYS + SITE_SLOTS):  # a place without a site is open, and may nothing
        if number not in (CHANGE_KEY, CREDIT_KEY, SITE_KEYS, SITE_KEYS + 3):
            for file in (PURSE_FILE, RECORD_FILE, TRANSACTION_FILE):
                do(select(APPLICATION), reader)
                session = do(authenticate(bytes(16), number, os.urandom(16)), reader)
                with pytest.raises(CardRefused, match="permission"):
                    do(session.command(0xF5, bytes((file,)), step="tell"), reader)
                do(select(APPLICATION), reader)
                session = do(authenticate(bytes(16), number, os.urandom(16)), reader)
                with pytest.raises(CardRefused, match="permission"):
                    do(session.get_value(PURSE_FILE), reader)


@pytest.mark.parametrize("number", [SITE_KEYS, SITE_KEYS + 3])
def test_what_a_stolen_terminal_cannot_do(number: int) -> None:
    reader = DirectReader(issued_desfire())
    load(reader, 1_000)
    tries: list[Callable[[Session], Steps[object]]] = [
        lambda s: s.credit(PURSE_FILE, 1),
        lambda s: s.limited_credit(PURSE_FILE, 1),
        lambda s: s.change_key(CREDIT_KEY, bytes(16), 1, bytes(16)),
        lambda s: s.change_key(number, bytes(16), 1),
        lambda s: s.change_key_settings(0x0F),
        lambda s: s.file_settings(PURSE_FILE),
        lambda s: s.roll_key_set(1),
    ]
    for steps in tries:
        with pytest.raises(CardRefused):
            do(steps(log_in(reader, number)), reader)
    session = log_in(reader, number)
    do(session.debit(PURSE_FILE, 1), reader)
    with pytest.raises(CardRefused, match="permission"):  # without saying who it is
        do(session.commit_with_mac(), reader)
    assert opened(reader).balance == 1_000


def test_a_finished_card_is_left_alone_unless_again() -> None:
    reader = DirectReader(issued_desfire())
    load(reader, 1_000)
    with pytest.raises(CardIssued):
        issue_to(reader)
    assert opened(reader).balance == 1_000
    issue_to(reader, again=True)
    assert works(reader)


def test_up_to_seven_sites_share_a_card() -> None:
    sites = tuple(ESTATE.site_key(f"site-{slot}", slot) for slot in range(SITE_SLOTS))
    reader = DirectReader(blank_desfire())
    issue_to(reader, replace(KEYS, sites=sites))
    for site in sites:
        reader.card.reset()
        purse = do(open_purse(site, reader.presented, os.urandom(16)), reader)
        assert purse.balance == 0


def test_other_cards_are_refused_before_anything_is_written() -> None:
    with pytest.raises(CardUnknown):
        issue_to(DirectReader(member_card()))
    with pytest.raises(CardRefused, match="EV1"):
        issue_to(DirectReader(blank_desfire(generation=EV1)))
    for blank in (blank_desfire, factory_desfire):
        card = blank()
        card.state.applications["000000"].running.keys[0] = bytes(range(100, 116))
        before = card.state.dump()
        with pytest.raises(WrongKey):
            issue_to(DirectReader(card))
        assert card.state.dump() == before


@BLANKS
def test_a_card_torn_away_at_any_command_is_presented_once_more(
    blank: Callable[[], DesfireCard],
) -> None:
    whole = DirectReader(blank())
    issue_to(whole)
    commands = len(whole.sent)
    for apdu in range(1, commands + 1):
        for answer_lost in (False, True):
            reader = DirectReader(blank())
            reader.faults.cut_after(apdu, answer_lost=answer_lost)
            with pytest.raises(CardGone):
                issue_to(reader)
            finished = (apdu, answer_lost) == (commands, True)
            if finished:
                with pytest.raises(CardIssued):
                    issue_to(reader)
            else:
                issue_to(reader)
            assert works(reader), (apdu, answer_lost)


def test_a_lost_site_key_is_replaced_by_rolling() -> None:
    reader = DirectReader(issued_desfire())
    load(reader, 1_000)
    session = log_in(reader, CHANGE_KEY)
    do(session.initialize_key_set(1), reader)
    new_site = ESTATE.site_key("quay/2")
    change_key = ESTATE.change_key(key_input(uid(), CHANGE_KEY)).secret
    next_keys = {CHANGE_KEY: change_key, SITE_KEYS: new_site.read_key(key_input(uid(), 2)).secret}
    for number, key in next_keys.items():
        do(session.change_key_of_set(1, number, key, 2, bytes(16)), reader)
    do(session.finalize_key_set(1, 2), reader)
    do(session.roll_key_set(1), reader)
    reader.card.reset()
    assert do(open_purse(new_site, reader.presented, os.urandom(16)), reader).balance == 1_000
    with pytest.raises(CardForeign):
        do(open_purse(QUAY, reader.presented, os.urandom(16)), reader)


def test_the_cards_own_key_is_its_own() -> None:
    reader = DirectReader(issued_desfire())
    do(select(PICC), reader)
    key = ESTATE.change_key(card_input(do(get_version(), reader).uid, PICC, CHANGE_KEY)).secret
    card = do(authenticate(key, CHANGE_KEY, os.urandom(16)), reader)
    assert do(card.key_settings(), reader)[0] == 0x09
    assert do(card.uid(), reader) == uid()
    assert isinstance(reader.card, DesfireCard)
