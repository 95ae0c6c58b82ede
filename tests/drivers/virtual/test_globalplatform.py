"""The software JavaCard keeps its contract: channel, counted cryptograms, order of blocks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import cap
from drivers.apdu import CommandApdu, ResponseApdu, Steps
from drivers.errors import (
    CardForged,
    CardRefused,
    ChannelBroken,
)
from drivers.globalplatform import (
    BLOCK_BYTES,
    Scope,
    get_status,
    install,
    load,
    store_data,
)
from drivers.secure_channel.external_authenticate import initialize_update
from drivers.virtual.cards.globalplatform_state import FAILURES_MAX, JavaCardState
from tests.drivers.javacard_world import (
    CHALLENGE,
    GROUPINGS,
    INSTANCE,
    MODULE,
    PACKAGE,
    cap_file,
    channel,
    java_card,
    key_set,
    provide,
    state,
)
from tests.drivers.world import DirectReader, do

protocols = pytest.mark.parametrize("protocol", [2, 3])


@protocols
def test_a_terminal_with_other_keys_notices_before_it_says_anything(protocol: int) -> None:
    reader = DirectReader(java_card(protocol))
    with pytest.raises(CardForged):
        channel(reader, None, key_set(protocol, 255, b"another's"))
    assert state(reader).failures == 0


@protocols
def test_wrong_cryptograms_count_and_lock_the_domain(protocol: int) -> None:
    reader = DirectReader(java_card(protocol))
    for count in range(1, FAILURES_MAX + 1):
        reader.card.transmit(initialize_update(0, CHALLENGE).encode())
        wrong = CommandApdu(0x84, 0x82, 0x01, 0x00, bytes(16))
        assert reader.card.transmit(wrong.encode()) == b"\x63\x00"
        assert state(reader).failures == count
        if count == FAILURES_MAX - 1:
            channel(reader)
            assert state(reader).failures == 0
            state(reader).failures = count
    with pytest.raises(CardRefused) as refused:
        channel(reader)
    assert refused.value.status == 0x6983


@protocols
def test_without_a_channel_nothing_is_managed(protocol: int) -> None:
    card = java_card(protocol)
    for ins in (0xE6, 0xE8, 0xE2, 0xE4, 0xD8, 0xF2):
        assert card.transmit(bytes((0x80, ins, 0, 0, 0))) == b"\x69\x82"
    assert card.transmit(bytes.fromhex("8482010010") + bytes(16)) == b"\x69\x85"


@protocols
def test_a_changed_command_ends_the_channel(protocol: int) -> None:
    reader = DirectReader(java_card(protocol))
    opened = channel(reader, 1)
    spoiled = opened.session.protect(CommandApdu(0x80, 0xE4, 0, 0, b"\x4f\x01\x00"))
    changed = replace(spoiled, data=spoiled.data[:-1] + bytes((spoiled.data[-1] ^ 1,)))
    assert reader.card.transmit(changed.encode()) == b"\x69\x82"
    assert reader.card.transmit(spoiled.encode()) == b"\x69\x82"


@protocols
def test_a_command_said_twice_ends_the_channel(protocol: int) -> None:
    reader = DirectReader(java_card(protocol))
    opened = channel(reader, 1)
    said = opened.session.protect(CommandApdu(0x80, 0xF2, 0x80, 2, b"\x4f\x00", ne=256))
    assert reader.card.transmit(said.encode())[-2:] == b"\x90\x00"
    assert reader.card.transmit(said.encode()) == b"\x69\x82"


def test_a_changed_answer_ends_the_channel() -> None:
    reader = DirectReader(java_card())
    opened = channel(reader)
    steps = get_status(opened, Scope.DOMAIN)
    command = next(steps)
    answer = bytearray(reader.card.transmit(command.encode()))
    answer[0] ^= 1
    with pytest.raises(ChannelBroken):
        steps.send(ResponseApdu.decode(bytes(answer)))


def test_blocks_out_of_order_and_foreign_modules_are_refused() -> None:
    reader, file = DirectReader(java_card()), cap.read(cap_file())
    opened = channel(reader)
    steps = load(opened, file)
    do(opened.do(next_plain(steps), "x"), reader)
    with pytest.raises(CardRefused):
        do(opened.do(CommandApdu(0x80, 0xE8, 0x80, 1, bytes(9), ne=256), "second first"), reader)
    with pytest.raises(CardRefused):
        do(install(opened, file, b"\xf0no module", INSTANCE), reader)
    with pytest.raises(CardRefused):
        do(store_data(opened, INSTANCE, GROUPINGS), reader)
    with pytest.raises(CardRefused):
        do(install(opened, replace(file, package=MODULE), MODULE, INSTANCE), reader)


def next_plain(_: Steps[None]) -> CommandApdu:
    """INSTALL [for load] of the package, plain."""
    return CommandApdu(0x80, 0xE6, 0x02, 0x00, bytes((len(PACKAGE),)) + PACKAGE + bytes(4), ne=256)


@pytest.mark.parametrize("size", [1, BLOCK_BYTES - 4, BLOCK_BYTES, 3 * BLOCK_BYTES + 1, 20_000])
def test_packages_of_every_size(size: int) -> None:
    reader = DirectReader(java_card())
    file = cap.read(cap_file(method_bytes=size))
    do(load(channel(reader), file), reader)
    assert state(reader).packages[PACKAGE].code == file.code


def test_a_stored_card_comes_back_as_it_was() -> None:
    reader = DirectReader(java_card())
    do(provide((key_set(3),), 3), reader)
    assert JavaCardState.load(state(reader).dump()) == state(reader)


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=40), max_size=6))
def test_any_bytes_get_a_status_word(said: list[bytes]) -> None:
    reader = DirectReader(java_card())
    opened = channel(reader, 1)
    for data in said:
        assert len(reader.card.transmit(data)) >= 2
        if len(data) > 3:
            command = CommandApdu(0x80, data[0], data[1], data[2], data[3:], ne=256)
            assert len(reader.card.transmit(opened.session.protect(command).encode())) >= 2
