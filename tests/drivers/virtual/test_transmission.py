"""A T=0 card: answers in two steps, the exact Le before it acts, no extended length."""

from __future__ import annotations

from drivers.virtual.cards.cpu import CpuCard
from tests.drivers.virtual.technician import (
    ADMIN_KEY,
    CREDENTIAL,
    GENERATE_KEY_PAIR,
    GET_CHALLENGE,
    READ,
    SELECT,
    external_authenticate,
    internal_authenticate,
    personalised_card,
)

NONCE = bytes(range(16))
OK = b"\x90\x00"


def say(card: CpuCard, apdu: str) -> str:
    return card.transmit(bytes.fromhex(apdu)).hex()


def selected_t0_card() -> CpuCard:
    card = personalised_card(t0=True)
    assert card.transmit(SELECT).hex() == "6129"
    return card


def test_a_t0_card_answers_in_two_steps() -> None:
    card = personalised_card(t0=True)
    assert card.transmit(SELECT).hex() == "6129"
    assert say(card, "00C000002A") == "6c29"
    assert say(card, "00C0000002") == "6f276127"
    assert say(card, "00C0000027")[-4:] == "9000"
    assert say(card, "00C0000001") == "6985"
    assert card.transmit(internal_authenticate(NONCE)[:-1]).hex() == "6144"
    assert len(say(card, "00C0000044")) == 2 * (68 + 2)
    assert card.state.counter == 1


def test_a_t0_card_wants_the_exact_le_before_it_acts() -> None:
    card = selected_t0_card()
    assert say(card, "0084000000") == "6c10"
    assert say(card, "00840000") == "6c10"
    assert len(say(card, "0084000010")) == 2 * (16 + 2)
    assert card.transmit(READ) == CREDENTIAL[:256] + OK
    assert say(card, "00B0010000") == "6c2e"
    assert say(card, "00B001002E") == CREDENTIAL[256:].hex() + "9000"
    assert say(card, "00B0810000012E") == "6700"
    challenge = card.transmit(GET_CHALLENGE)[:-2]
    assert card.transmit(external_authenticate(ADMIN_KEY, challenge)) == OK
    before = card.state.signing_key
    assert card.transmit(GENERATE_KEY_PAIR).hex() == "6c46"
    assert card.state.signing_key == before
    assert card.transmit(GENERATE_KEY_PAIR[:-1] + b"\x46")[-2:] == OK
    assert card.state.signing_key != before


def test_a_waiting_answer_is_dropped_by_any_other_command() -> None:
    card = selected_t0_card()
    card.transmit(internal_authenticate(NONCE))
    assert say(card, "00B081000A")[-4:] == "9000"
    assert say(card, "00C0000044") == "6985"
