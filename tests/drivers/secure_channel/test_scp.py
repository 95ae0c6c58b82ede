"""Both sides of SCP02 and SCP03 against each other at every level, and against forgers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.apdu import CommandApdu, ResponseApdu
from drivers.errors import CardForged, CardRefused, ChannelBroken
from drivers.secure_channel import scp02, scp03

HOST, CARD = bytes(range(8)), bytes(range(8, 16))
SIZES = (16, 24, 32)
SEQUENCE = b"\x00\x01"

commands = st.builds(
    CommandApdu,
    cla=st.sampled_from((0x80, 0x81, 0x00)),
    ins=st.integers(0, 255),
    p1=st.integers(0, 255),
    p2=st.integers(0, 255),
    data=st.binary(max_size=231),  # with padding and MAC still a short command
    ne=st.none() | st.integers(1, 256),
)
exchanges = st.lists(
    st.tuples(commands, st.binary(max_size=200), st.sampled_from((0x9000, 0x6310))), max_size=4
)


def scp03_keys(size: int) -> scp03.StaticKeys:
    return scp03.StaticKeys(bytes(range(size)), bytes(range(9, 9 + size)), bytes(size))


def scp03_sides(size: int, level: int) -> tuple[scp03.Session, scp03.Session]:
    """A session opened over the bytes that would travel."""
    keys = scp03.derive_session(scp03_keys(size), HOST, CARD)
    proof = scp03.card_cryptogram(keys, HOST, CARD)
    greeting = scp03.Greeting(bytes(10), 0x30, 0x70, CARD, proof, b"\x00\x00\x01")
    received = scp03.Greeting.decode(greeting.encode())
    assert received == greeting
    command, host = scp03.authenticate(scp03_keys(size), HOST, received, level)
    return host, scp03.accept(keys, HOST, CARD, command)


def scp02_sides(level: int) -> tuple[scp02.Session, scp02.Session]:
    """A session opened over the bytes that would travel."""
    static = scp02.Keys(bytes(range(16)), bytes(range(9, 25)), bytes(range(1, 17)))
    keys = scp02.derive_session(static, SEQUENCE)
    answer = SEQUENCE + CARD[:6]
    proof = scp02.card_cryptogram(keys, HOST, answer)
    greeting = scp02.Greeting(bytes(10), 0x20, SEQUENCE, CARD[:6], proof)
    received = scp02.Greeting.decode(greeting.encode())
    assert received == greeting
    command, host = scp02.authenticate(static, HOST, received, level)
    return host, scp02.accept(keys, HOST, answer, command)


def changed(command: CommandApdu, bit: int) -> CommandApdu:
    """One bit of P1, P2 or the data is the other way round."""
    text = bytearray((command.p1, command.p2, *command.data))
    at, shift = divmod(bit % (8 * len(text)), 8)
    text[at] ^= 1 << shift
    return replace(command, p1=text[0], p2=text[1], data=bytes(text[2:]))


@given(size=st.sampled_from(SIZES), level=st.sampled_from(scp03.LEVELS), said=exchanges)
def test_scp03_carries_commands_and_answers(
    size: int, level: int, said: list[tuple[CommandApdu, bytes, int]]
) -> None:
    host, card = scp03_sides(size, level)
    for command, answer, sw in said:
        sent = host.protect(command)
        assert card.open_command(sent) == command
        back = card.protect_response(ResponseApdu(answer, sw))
        assert host.open(back) == ResponseApdu(answer, sw)
        assert (back.data == answer) is not bool(level & scp03.R_MAC)
        error = ResponseApdu(b"", 0x6985)
        assert host.open(card.protect_response(error)) == error
    assert (host.chain, host.counter) == (card.chain, card.counter)


@given(level=st.sampled_from(scp03.LEVELS), command=commands, bit=st.integers(0))
def test_scp03_refuses_a_changed_command(level: int, command: CommandApdu, bit: int) -> None:
    host, card = scp03_sides(16, level)
    with pytest.raises(ChannelBroken):
        card.open_command(changed(host.protect(command), bit))


@given(level=st.sampled_from((0x11, 0x13, 0x33)), answer=st.binary(max_size=60), bit=st.integers(0))
def test_scp03_refuses_a_changed_answer(level: int, answer: bytes, bit: int) -> None:
    host, card = scp03_sides(16, level)
    card.open_command(host.protect(CommandApdu(0x80, 0xCA, 0, 0x66, ne=256)))
    text = bytearray(card.protect_response(ResponseApdu(answer, 0x9000)).data)
    at, shift = divmod(bit % (8 * len(text)), 8)
    text[at] ^= 1 << shift
    with pytest.raises(ChannelBroken):
        host.open(ResponseApdu(bytes(text), 0x9000))
    with pytest.raises(ChannelBroken):
        host.open(ResponseApdu(b"", 0x9000))  # success without a MAC


@given(level=st.sampled_from(scp02.LEVELS), said=st.lists(commands, max_size=4))
def test_scp02_carries_commands(level: int, said: list[CommandApdu]) -> None:
    host, card = scp02_sides(level)
    for command in said:
        sent = host.protect(command)
        assert bool(level & scp02.C_DECRYPTION and command.data) == (sent.data[:-8] != command.data)
        assert card.open_command(sent) == command
    assert host.last == card.last


@given(level=st.sampled_from(scp02.LEVELS), command=commands, bit=st.integers(0))
def test_scp02_refuses_a_changed_command(level: int, command: CommandApdu, bit: int) -> None:
    host, card = scp02_sides(level)
    with pytest.raises(ChannelBroken):
        card.open_command(changed(host.protect(command), bit))


def test_a_session_of_a_real_card_with_everything_enciphered() -> None:
    """AES-128, level 33, as pySim's tests publish it."""
    static = scp03.StaticKeys(*(bytes(range(at, at + 16)) for at in (0x00, 0x10, 0x20)))
    host_challenge = bytes.fromhex("fdf38259a1e0de44")
    greeting = scp03.Greeting.decode(
        bytes.fromhex("000000000000000000003003703b1aca81e821f219081cdc01c26b372d000003")
    )
    command, host = scp03.authenticate(static, host_challenge, greeting, 0x33)
    assert command.encode().hex() == "84823300108c36f96bcc00724a4e13ad591d7da3f0"
    keys = scp03.derive_session(static, host_challenge, greeting.card_challenge)
    card = scp03.accept(keys, host_challenge, greeting.card_challenge, command)
    plain = CommandApdu(0x80, 0xE2, 0x91, 0x00, bytes.fromhex("bf3e035c015a"), ne=256)
    sent = host.protect(plain)
    assert sent.data.hex() == "267a85dfe4a98fca6fb0527e0dfecce4914e40401433c87f"
    assert card.open_command(sent) == plain
    answer = ResponseApdu(bytes.fromhex("bf3e125a1089882119900000000000000000000005"), 0x9000)
    back = card.protect_response(answer)
    assert back.data.hex() == (
        "f3ba2b1013aa6224f5e1c138d71805c569e5439b47576260b75fc021b25097cb2e68f8a0144975b9"
    )
    assert host.open(back) == answer


def test_the_mac_does_not_cover_the_logical_channel() -> None:
    for sides in (lambda: scp03_sides(16, 0x01)[0], lambda: scp02_sides(0x01)[0]):
        basic = sides().protect(CommandApdu(0x80, 0xF2, 0x20, 0x02))
        other = sides().protect(CommandApdu(0x83, 0xF2, 0x20, 0x02))
        assert (basic.cla, other.cla, basic.data) == (0x84, 0x87, other.data)


def test_a_repeated_command_is_refused() -> None:
    command = CommandApdu(0x80, 0xF2, 0x20, 0x02)
    for host, card in (scp03_sides(16, 0x01), scp02_sides(0x01)):
        sent = host.protect(command)
        card.open_command(sent)
        with pytest.raises(ChannelBroken):
            card.open_command(sent)


def test_a_plain_command_is_refused() -> None:
    for host, card in (scp03_sides(16, 0x01), scp02_sides(0x01)):
        sent = host.protect(CommandApdu(0x80, 0xF2, 0x20, 0x02))
        with pytest.raises(ChannelBroken):
            card.open_command(replace(sent, cla=0x80))


@given(proof=st.binary(max_size=20), level=st.integers(0, 255))
def test_who_has_no_keys_opens_no_session(proof: bytes, level: int) -> None:
    command = CommandApdu(0x84, 0x82, level, 0, proof)
    keys = scp03.derive_session(scp03_keys(16), HOST, CARD)
    with pytest.raises((CardForged, ChannelBroken)):
        scp03.accept(keys, HOST, CARD, command)
    keys2 = scp02.derive_session(scp02.Keys(*[bytes(range(16))] * 3), SEQUENCE)
    with pytest.raises((CardForged, ChannelBroken)):
        scp02.accept(keys2, HOST, SEQUENCE + CARD[:6], command)


@given(data=st.binary(max_size=20) | st.binary(min_size=250, max_size=300))
def test_arbitrary_commands_and_answers_raise_only_our_errors(data: bytes) -> None:
    for level in scp02.LEVELS:
        with pytest.raises(ChannelBroken):
            scp02_sides(level)[1].open_command(CommandApdu(0x84, 0xE2, 0, 0, data))
    host, card = scp03_sides(16, 0x33)
    with pytest.raises(ChannelBroken):
        card.open_command(CommandApdu(0x84, 0xE2, 0, 0, data))
    with pytest.raises(ChannelBroken):
        host.open(ResponseApdu(data, 0x9000))


def test_a_right_mac_over_a_wrong_cryptogram_opens_no_session() -> None:
    keys = scp03.derive_session(scp03_keys(16), HOST, CARD)
    command = scp03.Session(keys, 0x01).authenticated(CommandApdu(0x80, 0x82, 1, 0, bytes(8)))
    with pytest.raises(CardForged):
        scp03.accept(keys, HOST, CARD, command)
    keys2 = scp02.derive_session(scp02.Keys(*[bytes(range(16))] * 3), SEQUENCE)
    command = scp02.Session(keys2, 0x01).authenticated(CommandApdu(0x80, 0x82, 1, 0, bytes(8)))
    with pytest.raises(CardForged):
        scp02.accept(keys2, HOST, SEQUENCE + CARD[:6], command)


@given(st.binary(max_size=40))
def test_arbitrary_greetings_are_read_or_refused(data: bytes) -> None:
    for read in (scp02.Greeting.decode, scp03.Greeting.decode):
        try:
            greeting = read(data)
        except CardRefused:
            continue
        assert greeting.encode() == data


@pytest.mark.parametrize("level", [0x00, 0x02, 0x10, 0x31, 0x80])
def test_a_level_that_is_none_is_a_mistake_of_the_caller(level: int) -> None:
    keys = scp03.derive_session(scp03_keys(16), HOST, CARD)
    with pytest.raises(ValueError, match="security level"):
        scp03.Session(keys, level)
    with pytest.raises(ValueError, match="security level"):
        scp02.Session(scp02.SessionKeys(*[bytes(range(16))] * 4), level)


def test_the_check_value_of_a_des_key_is_that_of_a_block_of_zeros() -> None:
    # The default key of GlobalPlatform test cards and its published check value.
    key = bytes.fromhex("404142434445464748494A4B4C4D4E4F")
    assert scp02.key_check_value(key).hex() == "8baf47"
