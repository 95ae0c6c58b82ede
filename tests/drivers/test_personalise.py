"""Personalisation over the software card: what is written, and every way it may be cut short."""

from __future__ import annotations

import time

import pytest

from drivers.cards.cpu import identify
from drivers.errors import CardForged, CardGone, CardIssued, CardRefused
from drivers.exchange import Deadlines, hold
from drivers.virtual.cards.cpu import CpuCard
from protocol.credential import accept
from tests.drivers.world import (
    NONCE,
    PRESENTED,
    TRUST,
    DirectReader,
    blank_card,
    issue_to,
    member_card,
    own_key,
    reference,
    serial,
    signed_credential,
)

# SELECT, GET CHALLENGE, EXTERNAL AUTHENTICATE, GENERATE, UPDATE, READ, INTERNAL AUTHENTICATE,
# CHANGE REFERENCE DATA, ACTIVATE, SELECT.
COMMANDS = [0xA4, 0x84, 0x82, 0x47, 0xD6, 0xB0, 0x88, 0x24, 0x44, 0xA4]


def proves_itself(card: CpuCard) -> bool:
    """Whether a terminal accepts the card."""
    card.reset()
    reader = DirectReader(card)
    identity = hold(
        identify(TRUST, PRESENTED, NONCE),
        reader,
        Deadlines(),
        time.monotonic,
        extended=reader.extended,
    )
    return identity.reference == reference(1)


def test_a_blank_card_becomes_a_member_card() -> None:
    card = blank_card(1)
    reader = DirectReader(card)
    written = issue_to(reader)
    assert [command[1] for command in reader.sent] == COMMANDS
    assert written.serial == serial(1)
    assert accept(written.credential, TRUST.issuers).public_key == written.public_key
    assert card.state.admin_key == own_key(serial(1))
    assert proves_itself(card)


def test_a_t0_card_too() -> None:
    card = blank_card(1, t0=True)
    issue_to(DirectReader(card))
    assert proves_itself(card)


@pytest.mark.parametrize("extended", [False, True])
def test_a_long_credential_is_chained_or_sent_whole(extended: bool) -> None:  # noqa: FBT001
    card = blank_card(1)
    reader = DirectReader(card, extended=extended)
    written = issue_to(reader, lambda *_: bytes(600))
    assert written.credential == bytes(600)
    updates = [command for command in reader.sent if command[1] == 0xD6]
    assert len(updates) == (1 if extended else 3)


@pytest.mark.parametrize("apdu", range(1, len(COMMANDS) + 1))
@pytest.mark.parametrize("answer_lost", [False, True])
def test_a_card_torn_away_at_any_command_is_done_the_second_time(
    apdu: int,
    answer_lost: bool,  # noqa: FBT001
) -> None:
    card = blank_card(1)
    reader = DirectReader(card)
    reader.faults.cut_after(apdu, answer_lost=answer_lost)
    with pytest.raises(CardGone):
        issue_to(reader)
    issue_to(DirectReader(card), again=bool(card.state.lifecycle))
    assert proves_itself(card)
    assert card.state.admin_key == own_key(serial(1))


def test_a_card_in_use_is_not_written_by_mistake() -> None:
    card = member_card(1)
    before = card.state.dump()
    with pytest.raises(CardIssued):
        issue_to(DirectReader(card))
    assert card.state.dump() == before
    issue_to(DirectReader(card), again=True)
    assert proves_itself(card)


def test_a_card_with_an_unknown_admin_key_costs_two_of_its_tries() -> None:
    card = blank_card(1)
    card.state.admin_key = bytes(16)
    tries = card.state.admin_tries
    with pytest.raises(CardRefused, match="accept the admin key: 63C3 wrong, 3 tries left"):
        issue_to(DirectReader(card))
    assert card.state.admin_tries == tries - 2


def test_a_blocked_card_is_not_asked_twice() -> None:
    card = blank_card(1)
    card.state.admin_tries = 0
    reader = DirectReader(card)
    with pytest.raises(CardRefused, match="6983"):
        issue_to(reader)
    assert [command[1] for command in reader.sent].count(0x82) == 1


class Forgetful(CpuCard):
    """A card whose memory takes a credential wrong."""

    def transmit(self, apdu: bytes) -> bytes:
        if apdu[1] == 0xD6:
            apdu = apdu[:-1] + bytes([apdu[-1] ^ 1])
        return super().transmit(apdu)


def test_what_reads_back_differently_is_never_activated() -> None:
    card = Forgetful(blank_card(1).state)
    with pytest.raises(CardForged, match="reads back"):
        issue_to(DirectReader(card), signed_credential)
    assert card.state.lifecycle == 0
