"""The software DESFire as the factory makes it: its own key is triple DES until it is changed."""

from __future__ import annotations

import os
from copy import deepcopy

import pytest

from drivers.desfire.frames import exchange
from drivers.desfire.session import (
    AES_KEY,
    PICC,
    Session,
    Unsupported,
    WrongKey,
    authenticate,
    authenticate_ev1,
    authenticate_iso,
    key_version,
    select,
)
from drivers.errors import CardRefused
from drivers.secure_channel import ev1
from drivers.virtual.cards.desfire import DesfireCard
from drivers.virtual.cards.desfire_state import DesfireState
from tests.drivers.desfire_world import blank_desfire, factory_desfire, uid
from tests.drivers.virtual.desfire_bench import AID
from tests.drivers.world import DirectReader, do

FACTORY, NEW = bytes(16), bytes(range(30, 46))
CHANGE_KEY = 0xC4


def entered(card: DesfireCard) -> tuple[DirectReader, Session]:
    """A session of the card itself under the factory's key."""
    reader = DirectReader(card)
    assert do(select(PICC), reader)
    return reader, do(authenticate_iso(FACTORY, 0, os.urandom(8)), reader)


def wrapped(session: Session, header: bytes = bytes((AES_KEY,))) -> bytes:
    """What changes the card's own key to NEW."""
    assert isinstance(session.channel, ev1.Session)
    return session.channel.wrap_new_key(CHANGE_KEY, header, NEW, 1)


def test_a_key_of_another_kind_or_value_opens_nothing() -> None:
    reader = DirectReader(factory_desfire())
    for steps in (
        authenticate(FACTORY, 0, os.urandom(16)),
        authenticate_ev1(FACTORY, 0, os.urandom(16)),
        authenticate_iso(NEW, 0, os.urandom(8)),
    ):
        with pytest.raises(WrongKey):
            do(steps, reader)
    with pytest.raises(WrongKey):
        do(authenticate_iso(FACTORY, 0, os.urandom(8)), DirectReader(blank_desfire()))
    assert do(exchange(0x6A), reader) == (b"", 0xAE)


def test_an_old_card_has_the_factorys_key_and_no_ev2() -> None:
    reader, session = entered(DesfireCard(DesfireState.blank(uid(), generation=1)))
    assert do(session.application_ids(), reader) == ()
    with pytest.raises(Unsupported):
        do(authenticate(FACTORY, 0, os.urandom(16)), reader)


def test_the_session_of_the_factorys_key_carries_all_modes() -> None:
    reader, session = entered(factory_desfire())
    assert do(session.key_settings(), reader) == b"\x0f\x01"
    assert do(session.uid(), reader) == uid()
    do(session.change_key_settings(0x0B), reader)
    assert do(session.key_settings(), reader) == b"\x0b\x01"
    assert do(session.get_key_version(0), reader) == 0
    with pytest.raises(CardRefused, match="no such application"):
        do(session.delete_application(AID), reader)
    with pytest.raises(CardRefused, match="authentication"):
        do(session.application_ids(), reader)


def test_kind_and_value_of_the_key_change_together() -> None:
    reader, session = entered(factory_desfire())
    do(session.change_key(AES_KEY, NEW, 1), reader)
    reader.card.reset()
    with pytest.raises(WrongKey):
        do(authenticate_iso(FACTORY, 0, os.urandom(8)), reader)
    with pytest.raises(WrongKey):
        do(authenticate_iso(NEW, 0, os.urandom(8)), reader)
    assert do(key_version(0), reader) == 1
    card = do(authenticate(NEW, 0, os.urandom(16)), reader)
    assert do(card.key_settings(), reader) == b"\x0f\x81"


def test_a_new_key_that_was_turned_or_cut_is_not_taken() -> None:
    reader, session = entered(factory_desfire())
    assert isinstance(reader.card, DesfireCard)
    wire, before = wrapped(session), reader.card.state.dump()
    turned = [wire[:at] + bytes((wire[at] ^ 1,)) + wire[at + 1 :] for at in range(1, len(wire))]
    for payload in (*turned, *(wire[:size] for size in range(len(wire)))):
        other = deepcopy(reader)
        _, status = do(exchange(CHANGE_KEY, payload), other)
        assert status in (0x1E, 0x40), payload.hex()
        assert isinstance(other.card, DesfireCard)
        assert other.card.state.dump() == before
    assert do(exchange(CHANGE_KEY, wire), reader) == (b"", 0)


@pytest.mark.parametrize("kind", [0x00, 0x40, 0xC0])
def test_the_number_says_that_the_new_key_is_aes(kind: int) -> None:
    reader, session = entered(factory_desfire())
    assert do(exchange(CHANGE_KEY, wrapped(session, bytes((kind,)))), reader) == (b"", 0x9E)
    assert do(key_version(0), reader) == 0


def test_the_vector_runs_on_from_what_was_said_before() -> None:
    reader, session = entered(factory_desfire())
    do(session.application_ids(), reader)
    assert isinstance(session.channel, ev1.Session)
    assert any(session.channel.iv)
    do(session.change_key(AES_KEY, NEW, 1), reader)
    do(authenticate(NEW, 0, os.urandom(16)), reader)
