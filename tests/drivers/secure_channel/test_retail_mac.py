"""Both sides of 3DES authentication and secure messaging, with each other and with forgers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.apdu import CommandApdu, ResponseApdu
from drivers.errors import CardForged, CardRefused, ChannelBroken
from drivers.secure_channel.retail_mac import (
    Keys,
    Session,
    derive_keys,
    mac,
    open_token,
    seal_token,
)

KEYS = derive_keys(bytes(range(16)))
SSC = bytes.fromhex("FFFFFFFFFFFFFFFE")  # turns over on the second message

bodies = st.binary(max_size=300)
commands = st.builds(
    CommandApdu,
    cla=st.sampled_from((0x00, 0x01, 0x80)),
    ins=st.integers(0, 255),
    p1=st.integers(0, 255),
    p2=st.integers(0, 255),
    data=bodies,
    ne=st.none() | st.integers(1, 65_536),
)


def both_sides() -> tuple[Session, Session]:
    return Session(KEYS, SSC), Session(KEYS, SSC)


def flipped(data: bytes, bit: int) -> bytes:
    at, shift = divmod(bit % (8 * len(data)), 8)
    return data[:at] + bytes((data[at] ^ 1 << shift,)) + data[at + 1 :]


@given(command=commands, answer=bodies, sw=st.sampled_from((0x9000, 0x6282, 0x6A82)))
def test_what_one_side_says_the_other_hears(command: CommandApdu, answer: bytes, sw: int) -> None:
    terminal, card = both_sides()
    sent = terminal.protect(command)
    assert sent.cla & 0x0C == 0x0C
    assert card.open_command(sent) == command
    back = card.protect_response(ResponseApdu(answer, sw), command.ins)
    assert terminal.open(back) == ResponseApdu(answer, sw)
    assert terminal.ssc == card.ssc == bytes(8)


@given(command=commands, bit=st.integers(0))
def test_a_changed_command_is_refused(command: CommandApdu, bit: int) -> None:
    terminal, card = both_sides()
    sent = terminal.protect(command)
    header = flipped(bytes((sent.cla, sent.ins, sent.p1, sent.p2)) + sent.data, bit)
    cla, ins, p1, p2 = header[:4]
    changed = CommandApdu(cla, ins, p1, p2, header[4:], sent.ne)
    with pytest.raises(ChannelBroken):
        card.open_command(changed)


@given(answer=bodies, bit=st.integers(0))
def test_a_changed_answer_is_refused(answer: bytes, bit: int) -> None:
    terminal, card = both_sides()
    card.open_command(terminal.protect(CommandApdu(0, 0xB0, 0, 0, ne=256)))
    back = card.protect_response(ResponseApdu(answer, 0x9000), 0xB0)
    with pytest.raises(ChannelBroken):
        terminal.open(ResponseApdu.decode(flipped(back.data + b"\x90\x00", bit)))


def test_a_repeated_or_swallowed_message_is_refused() -> None:
    terminal, card = both_sides()
    sent = terminal.protect(CommandApdu(0, 0xA4, 2, 12, b"\x01\x1e"))
    card.open_command(sent)
    with pytest.raises(ChannelBroken):
        card.open_command(sent)
    terminal, card = both_sides()
    terminal.protect(CommandApdu(0, 0xA4, 2, 12, b"\x01\x1e"))
    with pytest.raises(ChannelBroken):
        card.open_command(terminal.protect(CommandApdu(0, 0xB0, 0, 0, ne=4)))


def test_a_bare_status_word_ends_the_session() -> None:
    terminal, _ = both_sides()
    terminal.protect(CommandApdu(0, 0xB0, 0, 0, ne=4))
    with pytest.raises(CardRefused, match="6988"):
        terminal.open(ResponseApdu(b"", 0x6988))


def sealed(text: bytes, body: bytes) -> bytes:
    """Data objects with the checksum that the first message of a session needs."""
    code = mac(KEYS.mac, (int.from_bytes(SSC, "big") + 1).to_bytes(8, "big") + text + body)
    return body + b"\x8e\x08" + code


@pytest.mark.parametrize(
    "body",
    [
        "",  # no status
        "99029001",  # another status than outside
        "9901 90",  # half a status
        "5301AA 99029000",  # an object that does not belong there
        "8708AAAAAAAAAAAAAAAA 99029000",  # an unknown padding
        "870101 99029000",  # no ciphertext
        "870401AAAAAA 99029000",  # half a block
        "8508AAAAAAAAAAAAAAAA 8709AAAAAAAAAAAAAAAAAA 99029000",  # two texts
        "99029000 9902",  # cut off
    ],
)
def test_a_right_mac_over_a_wrong_form_is_refused(body: str) -> None:
    """Whoever holds the keys may still send what makes no sense."""
    terminal, _ = both_sides()
    with pytest.raises(ChannelBroken):
        terminal.open(ResponseApdu(sealed(b"", bytes.fromhex(body)), 0x9000))


@pytest.mark.parametrize("cla", [0x00, 0x04, 0x08])
def test_a_right_mac_under_a_plain_class_is_refused(cla: int) -> None:
    _, card = both_sides()
    header = bytes((cla, 0xA4, 0, 0)) + bytes.fromhex("80000000")
    with pytest.raises(ChannelBroken):
        card.open_command(CommandApdu(cla, 0xA4, 0, 0, sealed(header, b"")))
    _, card = both_sides()
    header = bytes((cla | 0x0C,)) + header[1:]
    assert card.open_command(CommandApdu(cla | 0x0C, 0xA4, 0, 0, sealed(header, b""))).ins == 0xA4


@given(data=st.binary(max_size=40), sw=st.integers(0, 0xFFFF))
def test_arbitrary_answers_raise_only_our_errors(data: bytes, sw: int) -> None:
    terminal, card = both_sides()
    with pytest.raises((ChannelBroken, CardRefused)):
        terminal.open(ResponseApdu(data, sw))
    with pytest.raises(ChannelBroken):
        card.open_command(CommandApdu(0x0C, 0xA4, 0, 0, data))


@given(rnd_a=st.binary(min_size=8, max_size=8), share=st.binary(min_size=16, max_size=16))
def test_a_token_answers_one_challenge_and_one_key(rnd_a: bytes, share: bytes) -> None:
    rnd_b = bytes(reversed(rnd_a[:-1])) + b"\x55"
    token = seal_token(KEYS, rnd_a, rnd_b, share)
    assert open_token(KEYS, token, rnd_b, rnd_a) == share
    with pytest.raises(CardForged):
        open_token(KEYS, token, flipped(rnd_b, 5), rnd_a)
    with pytest.raises(CardForged):
        open_token(Keys(KEYS.enc, bytes(15) + b"\x02"), token, rnd_b, rnd_a)


@given(st.binary(max_size=50))
def test_arbitrary_tokens_are_refused(token: bytes) -> None:
    with pytest.raises(CardForged):
        open_token(KEYS, token, bytes(8), bytes(8))


def test_padding_method_1_gives_an_empty_message_one_block() -> None:
    key = bytes(range(16))
    assert mac(key, b"", padding=1) == mac(key, bytes(8), padding=1)
    assert mac(key, b"", padding=2) == mac(key, b"\x80" + bytes(7), padding=1)


@given(st.binary(max_size=64))
def test_keys_have_odd_parity(seed: bytes) -> None:
    keys = derive_keys(seed)
    assert all(byte.bit_count() % 2 for byte in keys.enc + keys.mac)
    assert keys.enc != keys.mac
