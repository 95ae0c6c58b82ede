"""Both sides of every NXP session agree on everything, and nothing that was turned passes."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import CardForged, ChannelBroken
from drivers.secure_channel import ev1, ev2, felica_lite, lrp_messaging, ultralight
from drivers.secure_channel.channel import Channel, CommunicationMode
from protocol.lrp import LrpKey

KEY, OTHER_KEY = bytes(range(16)), bytes(range(1, 17))
RND_A, RND_B, TI = bytes(range(50, 66)), bytes(range(80, 96)), b"\x01\x02\x03\x04"
PLAIN, MAC, FULL = CommunicationMode.PLAIN, CommunicationMode.MAC, CommunicationMode.FULL


class Pair(NamedTuple):
    """The two ends of one session."""

    reader: Channel
    card: Channel


def ev1_pair() -> Pair:
    challenge = (card := ev1.CardAuthentication(0xAA, KEY, RND_B)).challenge
    reader = ev1.ReaderAuthentication(0xAA, KEY, challenge, RND_A)
    answer, key = card.answer(reader.token)
    assert reader.session_key(answer) == key
    return Pair(ev1.Session(0xAA, key), ev1.Session(0xAA, key))


def des_pair() -> Pair:
    """A session under the key that a factory leaves."""
    challenge = (card := ev1.CardAuthentication(0x1A, bytes(16), RND_B[:8])).challenge
    reader = ev1.ReaderAuthentication(0x1A, bytes(16), challenge, RND_A[:8])
    answer, key = card.answer(reader.token)
    assert reader.session_key(answer) == key
    return Pair(ev1.Session(0x1A, key), ev1.Session(0x1A, key))


def ev2_pair() -> Pair:
    card = ev2.CardAuthentication(KEY, RND_B)
    reader = ev2.ReaderAuthentication(KEY, card.challenge, RND_A)
    answer, session = card.first(reader.token, TI)
    return Pair(reader.first(answer)[0], session)


def lrp_pair() -> Pair:
    card = lrp_messaging.CardAuthentication(KEY, RND_B)
    reader = lrp_messaging.ReaderAuthentication(KEY, card.challenge, RND_A)
    answer, session = card.first(reader.token, TI)
    return Pair(reader.first(answer)[0], session)


def second_ev2_pair() -> Pair:
    """After a NonFirst within a running session."""
    running = ev2_pair()
    exchange(running, MAC, b"\x01", b"", b"")
    card = ev2.CardAuthentication(OTHER_KEY, RND_A)
    reader = ev2.ReaderAuthentication(OTHER_KEY, card.challenge, RND_B)
    assert isinstance(running.card, ev2.Session)
    assert isinstance(running.reader, ev2.Session)
    answer, session = card.non_first(reader.token, running.card)
    opened = reader.non_first(answer, running.reader)
    assert (opened.ti, opened.counter) == (session.ti, session.counter) == (TI, 1)
    return Pair(opened, session)


def second_lrp_pair() -> Pair:
    running = lrp_pair()
    exchange(running, FULL, b"\x01", b"data", b"answer")
    card = lrp_messaging.CardAuthentication(OTHER_KEY, RND_A)
    reader = lrp_messaging.ReaderAuthentication(OTHER_KEY, card.challenge, RND_B)
    assert isinstance(running.card, ev2.Session)
    assert isinstance(running.reader, ev2.Session)
    answer, session = card.non_first(reader.token, running.card)
    return Pair(reader.non_first(answer, running.reader), session)


PAIRS = [ev1_pair, des_pair, ev2_pair, lrp_pair, second_ev2_pair, second_lrp_pair]
any_pair = pytest.mark.parametrize("pair", PAIRS)
any_first_pair = pytest.mark.parametrize("pair", PAIRS[:4])
sizes = st.integers(0, 200)
modes = st.sampled_from(CommunicationMode)


def exchange(
    pair: Pair, mode: CommunicationMode, header: bytes, data: bytes, response: bytes
) -> None:
    """One command and its response, from one end to the other."""
    sent = pair.reader.reader_wrap(0x8D, header, data, mode=mode)
    opened = pair.card.card_unwrap(0x8D, sent, len(header), mode=mode, length=len(data))
    assert opened == (header, data)
    answer = pair.card.card_wrap(response, mode=mode)
    assert pair.reader.reader_unwrap(answer, mode=mode, length=len(response)) == response


@any_first_pair
@pytest.mark.parametrize("mode", CommunicationMode)
def test_every_length_comes_through(pair: Callable[[], Pair], mode: CommunicationMode) -> None:
    both = pair()
    for size in range(201):
        data = bytes((size + at) % 256 for at in range(size))
        exchange(both, mode, data[:7], data, data[::-1])


@any_pair
@given(st.lists(st.tuples(modes, st.binary(max_size=9), st.binary(max_size=60), sizes), max_size=6))
def test_a_session_keeps_in_step_through_all_modes(
    pair: Callable[[], Pair], exchanges: list[tuple[CommunicationMode, bytes, bytes, int]]
) -> None:
    both = pair()
    for mode, header, data, size in exchanges:
        exchange(both, mode, header, data, bytes(size))
        if isinstance(both.reader, ev2.Session) and isinstance(both.card, ev2.Session):
            assert both.reader.counter == both.card.counter
        if isinstance(both.reader, ev1.Session) and isinstance(both.card, ev1.Session):
            assert both.reader.iv == both.card.iv


@any_pair
@pytest.mark.parametrize("mode", [MAC, FULL])
@pytest.mark.parametrize("size", [1, 16])
def test_any_bit_that_turned_is_refused(
    pair: Callable[[], Pair], mode: CommunicationMode, size: int
) -> None:
    data, both = bytes(range(size)), pair()
    wire = both.reader.reader_wrap(0x8D, b"\x03", data, mode=mode)
    for bit in range(8 * len(wire)):
        with pytest.raises(ChannelBroken):
            deepcopy(both.card).card_unwrap(0x8D, turn(wire, bit), 1, mode=mode, length=size)
    both.card.card_unwrap(0x8D, wire, 1, mode=mode, length=size)
    wire = both.card.card_wrap(data, mode=mode)
    for bit in range(8 * len(wire)):
        with pytest.raises(ChannelBroken):
            deepcopy(both.reader).reader_unwrap(turn(wire, bit), mode=mode, length=size)
    assert both.reader.reader_unwrap(wire, mode=mode, length=size) == data


def turn(data: bytes, bit: int) -> bytes:
    return bytes(byte ^ (1 << bit % 8 if at == bit // 8 else 0) for at, byte in enumerate(data))


@any_first_pair
@given(st.binary(max_size=64), modes, st.sampled_from([None, 0, 5, 16]))
def test_what_is_no_message_is_refused_or_read_but_never_crashes(
    pair: Callable[[], Pair], noise: bytes, mode: CommunicationMode, length: int | None
) -> None:
    length = 5 if pair in (ev1_pair, des_pair) and length is None else length
    both = pair()
    for open_it in (
        lambda: both.card.card_unwrap(0x8D, noise, 3, mode=mode, length=length),
        lambda: both.reader.reader_unwrap(noise, mode=mode, length=length),
    ):
        try:
            open_it()
        except ChannelBroken:
            continue
        assert mode is PLAIN or pair in (ev1_pair, des_pair)


@any_pair
def test_another_command_a_repeated_one_and_a_wrong_status_are_refused(
    pair: Callable[[], Pair],
) -> None:
    both = pair()
    sent = both.reader.reader_wrap(0x0C, b"\x02", b"\x01\x00\x00\x00", mode=MAC)
    with pytest.raises(ChannelBroken):
        both.card.card_unwrap(0xDC, sent, 1, mode=MAC)
    both = pair()
    sent = both.reader.reader_wrap(0x0C, b"\x02", b"\x01\x00\x00\x00", mode=MAC)
    both.card.card_unwrap(0x0C, sent, 1, mode=MAC)
    both.card.card_wrap(mode=MAC)
    with pytest.raises(ChannelBroken):
        both.card.card_unwrap(0x0C, sent, 1, mode=MAC)
    both = pair()
    with pytest.raises(ChannelBroken):
        both.reader.reader_unwrap(both.card.card_wrap(b"x", mode=MAC), mode=MAC, status=0xAE)


@any_pair
def test_a_broken_session_stays_broken(pair: Callable[[], Pair]) -> None:
    both = pair()
    with pytest.raises(ChannelBroken):
        both.reader.reader_unwrap(bytes(8), mode=MAC)
    for call in (
        lambda: both.reader.reader_wrap(0x6C, b"\x02", mode=PLAIN),
        lambda: both.reader.reader_unwrap(b"", mode=PLAIN),
        lambda: both.reader.card_wrap(mode=PLAIN),
        lambda: both.reader.card_unwrap(0x6C, b"", 0, mode=PLAIN),
    ):
        with pytest.raises(ChannelBroken, match="over"):
            call()


@any_pair
def test_other_data_than_asked_for_is_refused(pair: Callable[[], Pair]) -> None:
    both = pair()
    with pytest.raises(ChannelBroken):
        both.reader.reader_unwrap(both.card.card_wrap(b"four", mode=FULL), mode=FULL, length=5)
    both = pair()
    with pytest.raises(ChannelBroken):
        both.reader.reader_unwrap(both.card.card_wrap(b"four", mode=MAC), mode=MAC, length=5)


def test_a_session_ends_with_its_last_counter() -> None:
    suite = ev2.AesSuite(KEY, OTHER_KEY)
    reader, card = (ev2.Session(suite, TI, ev2.COUNTER_MAX - 1) for _ in range(2))
    exchange(Pair(reader, card), MAC, b"", b"", b"last")
    with pytest.raises(ChannelBroken, match="last counter"):
        reader.reader_wrap(0x6C, mode=MAC)
    ticket = ultralight.Session(KEY, ultralight.COUNTER_MAX)
    with pytest.raises(ChannelBroken, match="last counter"):
        ticket.wrap(b"\x30\x04")


@pytest.mark.parametrize("module", [ev2, lrp_messaging])
def test_a_wrong_key_is_noticed_by_either_side(module: object) -> None:
    assert module in (ev2, lrp_messaging)
    kind = ev2 if module is ev2 else lrp_messaging
    card = kind.CardAuthentication(KEY, RND_B)
    stranger = kind.ReaderAuthentication(OTHER_KEY, card.challenge, RND_A)
    with pytest.raises(CardForged):
        card.first(stranger.token, TI)
    reader = kind.ReaderAuthentication(KEY, card.challenge, RND_A)
    answer, _ = card.first(reader.token, TI)
    for bit in range(8 * len(answer)):
        again = kind.ReaderAuthentication(KEY, card.challenge, RND_A)
        with pytest.raises(CardForged):
            again.first(turn(answer, bit))


@pytest.mark.parametrize("size", [0, 1, 15, 17, 31, 33, 64])
def test_answers_of_another_length_are_refused(size: int) -> None:
    for kind in (ev2, lrp_messaging):
        card = kind.CardAuthentication(KEY, RND_B)
        reader = kind.ReaderAuthentication(KEY, card.challenge, RND_A)
        with pytest.raises(CardForged):
            reader.first(bytes(size))
        with pytest.raises(CardForged):
            card.first(bytes(size), TI)
        with pytest.raises(CardForged):
            kind.ReaderAuthentication(KEY, bytes(size), RND_A)


@pytest.mark.parametrize(
    ("ins", "key"), [(0xAA, 16), (0x1A, 8), (0x1A, 16), (0x1A, 24), (0x0A, 16)]
)
def test_old_authentications_agree_and_notice_a_wrong_key(ins: int, key: int) -> None:
    right, wrong = bytes(range(2, 2 + 3 * key, 3)), bytes(range(100, 100 + 2 * key, 2))
    size = ev1.random_bytes(ins, right)
    card = ev1.CardAuthentication(ins, right, RND_B[:size])
    reader = ev1.ReaderAuthentication(ins, right, card.challenge, RND_A[:size])
    answer, session_key = card.answer(reader.token)
    assert reader.session_key(answer) == session_key
    card = ev1.CardAuthentication(ins, right, RND_B[:size])
    stranger = ev1.ReaderAuthentication(ins, wrong, card.challenge, RND_A[:size])
    with pytest.raises(CardForged):
        card.answer(stranger.token)


@pytest.mark.parametrize(
    ("ins", "rnd_a", "challenge", "answer", "half"),
    [
        (0x1A, "fe07a026547f0bae", "d3c84e1aab3aa692", "dc9a5f5b3f8de04e", "fe07a026682eb9d7"),
        (0x0A, "cb4b2f5a73160f44", "07b4246843f94e2f", "0f3e03224ee6260f", "cb4b2f5afc68213e"),
    ],
)
def test_a_key_of_equal_halves_is_single_des(
    ins: int, rnd_a: str, challenge: str, answer: str, half: str
) -> None:
    """AN12757, tables 20 and 30, as a public implementation carries them."""
    reader = ev1.ReaderAuthentication(
        ins, bytes(16), bytes.fromhex(challenge), bytes.fromhex(rnd_a)
    )
    assert reader.session_key(bytes.fromhex(answer)) == 2 * bytes.fromhex(half)


def test_an_lrp_session_writes_and_reads_as_a_real_tag_did() -> None:
    """Transcript of an NTAG 424 DNA in the tests of nfc-ev2-crypto (test_lrp_cmd2)."""
    vector = "0001008008a6953c60bc3d34e53766689732e2a203ff23855751d644ed519669"
    master = LrpKey.expand(bytes(16)).cmac(bytes.fromhex(vector))
    suite = lrp_messaging.LrpSuite(master, bytes.fromhex("00000001"))
    session = ev2.Session(suite, bytes.fromhex("204f2276"))
    header = bytes.fromhex("03000000030000")
    wire = session.reader_wrap(0x8D, header, b"\x01\x02\x03", mode=FULL)
    assert wire == header + bytes.fromhex("eaf0fad0430ecdc947a822e12ec8d5f3bb75f218b405fdbc")
    assert session.reader_unwrap(bytes.fromhex("d5b8d8f8cd67f23c"), mode=FULL) == b""
    wire = session.reader_wrap(0xAD, header, mode=FULL)
    assert wire == header + bytes.fromhex("59858e133a7f487d")
    answer = bytes.fromhex("39665fae8af18feb23da1767eaf2274bb97fc66cc9437713")
    assert session.reader_unwrap(answer, mode=FULL, length=3) == b"\x01\x02\x03"


@pytest.mark.parametrize("pair", [ev1_pair, des_pair])
@pytest.mark.parametrize("old", [None, OTHER_KEY])
def test_an_ev1_key_change_comes_through_or_is_refused(
    pair: Callable[[], Pair], old: bytes | None
) -> None:
    new = bytes(range(30, 46))
    reader, card = pair()
    assert isinstance(reader, ev1.Session)
    assert isinstance(card, ev1.Session)
    wire = reader.wrap_new_key(0xC4, b"\x01", new, 7, old)
    changed = [turn(wire, bit) for bit in range(8 * len(wire))]
    for other in (*changed, *(wire[:size] for size in range(1, len(wire)))):
        with pytest.raises(ChannelBroken):
            deepcopy(card).unwrap_new_key(0xC4, other, 1, old)
    assert card.unwrap_new_key(0xC4, wire, 1, old) == (b"\x01", new, 7)


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=5), st.integers(0, 10**6))
def test_ultralight_frames_come_through_once_and_whole(frames: list[bytes], bit: int) -> None:
    reader, card = ultralight.Session(KEY), ultralight.Session(KEY)
    for frame in frames:
        assert card.unwrap(reader.wrap(frame)) == frame
        assert reader.unwrap(card.wrap(frame[::-1])) == frame[::-1]
    protected = reader.wrap(frames[0])
    with pytest.raises(ChannelBroken):
        card.unwrap(turn(protected, bit % (8 * len(protected))))
    with pytest.raises(ChannelBroken, match="over"):
        card.unwrap(protected)


@pytest.mark.parametrize(
    ("cipher", "size"), [(ultralight.aes_cipher, 16), (ultralight.c_cipher, 8)]
)
def test_ultralight_notices_a_wrong_key(
    cipher: Callable[[bytes], ultralight.Cipher], size: int
) -> None:
    card = ultralight.CardAuthentication(cipher(KEY), RND_B[:size])
    reader = ultralight.ReaderAuthentication(cipher(KEY), card.challenge, RND_A[:size])
    answer, rnd_a = card.answer(reader.frame)
    assert rnd_a == RND_A[:size]
    reader.check(answer)
    strange = ultralight.CardAuthentication(cipher(bytes(range(40, 56))), RND_B[:size])
    with pytest.raises(CardForged):
        strange.answer(reader.frame)
    with pytest.raises(ChannelBroken):
        reader.check(b"\xaf" + answer[1:])
    with pytest.raises(CardForged):
        reader.check(b"\x00" + bytes(size))


def test_an_ultralight_c_key_is_stored_in_reversed_halves() -> None:
    assert ultralight.stored_key(b"IEMKAERB!NACUOYF") == b"BREAKMEIFYOUCAN!"


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=3, max_size=3))
def test_a_felica_write_mac_depends_on_counter_block_and_data(data: bytes, counter: bytes) -> None:
    key = felica_lite.session_key(KEY, RND_A)
    block = felica_lite.write_mac_block(key, RND_A, counter, 5, data)
    others = {
        felica_lite.write_mac(key, RND_A, turn(counter, 0), 5, data),
        felica_lite.write_mac(key, RND_A, counter, 6, data),
        felica_lite.write_mac(key, RND_A, counter, 5, turn(data, 9)),
    }
    assert block == felica_lite.write_mac(key, RND_A, counter, 5, data) + counter + bytes(5)
    assert block[:8] not in others
    assert felica_lite.challenge_block(felica_lite.challenge_block(RND_A)) == RND_A
