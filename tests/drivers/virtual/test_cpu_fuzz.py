"""Whatever is said to the software CPU card, it answers with a status word and guards its state."""

from __future__ import annotations

from enum import Enum

from hypothesis import given
from hypothesis import strategies as st

from drivers.virtual.cards.cpu import CpuCard
from drivers.virtual.cards.cpu_state import CpuState
from tests.drivers.virtual.technician import (
    ADMIN_KEY,
    GET_CHALLENGE,
    READ,
    SELECT,
    become_admin,
    personalised_card,
)


class Transport(Enum):
    """How the card is spoken to."""

    T0 = 0
    T1 = 1


STATUS_BYTES = {0x61, 0x62, 0x63, *range(0x67, 0x70), 0x90}
"""Every SW1 that ISO/IEC 7816-4 gives a meaning and this card uses."""

plausible = st.builds(
    lambda cla, ins, p1, p2, tail: bytes([cla, ins, p1, p2]) + tail,
    st.sampled_from([0x00, 0x00, 0x00, 0x10, 0x80]),
    st.sampled_from([0x24, 0x44, 0x47, 0x82, 0x84, 0x88, 0xA4, 0xB0, 0xC0, 0xD6, 0xEE]),
    st.sampled_from([0x00, 0x01, 0x04, 0x80, 0x81, 0xFF]),
    st.sampled_from([0x00, 0x01, 0x0F, 0xFF]),
    st.one_of(
        st.binary(max_size=3),
        st.builds(
            lambda data, le: bytes([len(data)]) + data + le,
            st.one_of(st.binary(min_size=16, max_size=16), st.binary(min_size=1, max_size=40)),
            st.sampled_from([b"", b"\x00", b"\x44"]),
        ),
        st.builds(
            lambda data, le: b"\x00" + len(data).to_bytes(2, "big") + data + le,
            st.binary(min_size=1, max_size=300),
            st.sampled_from([b"", b"\x00\x00", b"\x01\x00"]),
        ),
    ),
)
conversation = st.lists(
    st.one_of(plausible, st.binary(max_size=40), st.sampled_from([SELECT, GET_CHALLENGE, READ])),
    max_size=30,
)
PERSONALISED = personalised_card().state.dump()
"""One card for all examples: making one costs a key pair."""


@given(conversation, st.sampled_from(Transport))
def test_whatever_is_said_the_card_answers_and_a_stranger_changes_nothing(
    apdus: list[bytes], transport: Transport
) -> None:
    card = CpuCard(CpuState.load(PERSONALISED), t0=transport is Transport.T0)
    counter = 0
    for apdu in apdus:
        answer = card.transmit(apdu)
        assert len(answer) >= 2
        assert answer[-2] in STATUS_BYTES
        assert len(answer) == 2 or answer[-2] in {0x61, 0x62, 0x90}
        assert card.state.counter - counter in {0, 1}
        counter = card.state.counter
    before = CpuState.load(PERSONALISED)
    assert (card.state.file, card.state.admin_key) == (before.file, before.admin_key)
    assert (card.state.signing_key, card.state.lifecycle) == (before.signing_key, 1)


@given(conversation, st.sampled_from(Transport))
def test_an_admin_may_say_anything_too(apdus: list[bytes], transport: Transport) -> None:
    card = CpuCard(CpuState.load(PERSONALISED), t0=transport is Transport.T0)
    card.transmit(SELECT)
    become_admin(card.transmit, ADMIN_KEY)
    for apdu in apdus:
        answer = card.transmit(apdu)
        assert len(answer) >= 2
        assert answer[-2] in STATUS_BYTES
    assert CpuState.load(card.state.dump()) == card.state
