"""DESFire cards for tests: an estate, blank and issued cards, dialogues held with them."""

from __future__ import annotations

import os
from copy import deepcopy
from dataclasses import replace
from functools import cache

from drivers.desfire.layout import CHANGE_KEY, CREDIT_KEY
from drivers.desfire.purse import Changed, Intent, Purse, credit, open_purse
from drivers.desfire.session import Session, authenticate, select
from drivers.personalise_desfire import CardKeys, personalise
from drivers.virtual.cards.desfire import DesfireCard
from drivers.virtual.cards.desfire_state import EV2, DesfireState
from protocol.credential import card_reference
from protocol.desfire_purse import APPLICATION, key_input
from protocol.estate import EstateKey
from tests.drivers.world import TRUST, DirectReader, do

TRANSPORT_KEY = bytes(range(16))
ESTATE = EstateKey(bytes(range(64, 96)))
QUAY, PIER = ESTATE.site_key("quay", 0), ESTATE.site_key("pier", 3)
SITES = (QUAY, PIER)
KEYS = CardKeys(ESTATE.change_key, ESTATE.credit_key, ESTATE.transaction_key, SITES)
DESFIRE_TRUST = replace(TRUST, site=QUAY)
READER_ID = b"till-1".ljust(16, b"\x00")
BALANCE = 5_000


def uid(number: int = 1) -> bytes:
    """UID of the n-th card."""
    return b"\x04" + number.to_bytes(6, "big")


def reference(number: int = 1) -> bytes:
    """What a record calls the n-th card."""
    return card_reference(TRUST.reference_key, "desfire", uid(number))


def tid(number: int) -> bytes:
    """Id of the n-th debit."""
    return number.to_bytes(16, "big")


def blank_desfire(number: int = 1, generation: int = EV2) -> DesfireCard:
    """A card as delivered under a transport key."""
    return DesfireCard(DesfireState.blank(uid(number), TRANSPORT_KEY, generation))


def factory_desfire(number: int = 1) -> DesfireCard:
    """A card as the factory makes it."""
    return DesfireCard(DesfireState.blank(uid(number)))


@cache
def _issued(number: int) -> DesfireState:
    card = blank_desfire(number)
    do(personalise(TRANSPORT_KEY, KEYS, os.urandom), DirectReader(card))
    return card.state


def issued_desfire(number: int = 1) -> DesfireCard:
    """A card that was personalised; its purse is empty."""
    return DesfireCard(deepcopy(_issued(number)))


@cache
def _loaded(number: int) -> DesfireState:
    card = issued_desfire(number)
    load(DirectReader(card), BALANCE)
    return card.state


def loaded_desfire(number: int = 1) -> DesfireCard:
    """The same with BALANCE in its purse, put there by one transaction."""
    return DesfireCard(deepcopy(_loaded(number)))


def load(reader: DirectReader, amount: int) -> Changed:
    """Put ``amount`` into the purse, as a counter with the credit key does."""
    purse = opened(reader)
    key = ESTATE.credit_key(key_input(purse.uid, CREDIT_KEY))
    return do(credit(purse, key, intent_of(purse, 99, amount), os.urandom(16)), reader)


def log_in(reader: DirectReader, number: int) -> Session:
    """A session of our application under one of its keys."""
    reader.card.reset()
    card_uid = reader.card.uid
    name = key_input(card_uid, number)
    if number == CHANGE_KEY:
        key = ESTATE.change_key(name).secret
    elif number == CREDIT_KEY:
        key = ESTATE.credit_key(name).secret
    else:
        (site,) = (site for site in SITES if site.slot + 2 == number)
        key = site.read_key(name).secret
    assert do(select(APPLICATION), reader)
    return do(authenticate(key, number, os.urandom(16)), reader)


def opened(reader: DirectReader) -> Purse:
    """The purse of a card that was just presented."""
    reader.card.reset()
    return do(open_purse(QUAY, reader.presented, os.urandom(16)), reader)


def intent_of(purse: Purse, number: int = 1, amount: int = 700) -> Intent:
    """The n-th debit, of this state of the purse."""
    assert purse.last is not None
    return Intent(
        tid=tid(number),
        reader_id=READER_ID,
        amount=amount,
        counter=purse.last.counter,
        balance=purse.balance,
    )
