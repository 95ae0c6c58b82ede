"""What a tag writes is read, and what it did not write is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import sun
from protocol.errors import SunRefused
from protocol.sun import PiccData, SunMode

META_KEY, FILE_KEY, OTHER_KEY = bytes(range(16)), bytes(range(16, 32)), bytes(range(1, 17))
UID = bytes.fromhex("04de5f1eacc040")
RANDOM = {SunMode.AES: 5, SunMode.LRP: 13}
both_modes = pytest.mark.parametrize("mode", SunMode)
counters = st.integers(0, 2**24 - 1)


@both_modes
@given(uid=st.binary(min_size=7, max_size=7), counter=counters, window=st.binary(max_size=80))
def test_what_a_tag_writes_is_read(mode: SunMode, uid: bytes, counter: int, window: bytes) -> None:
    tag = PiccData(uid, counter, mode)
    picc = sun.open_picc(META_KEY, sun.seal_picc(META_KEY, tag, bytes(RANDOM[mode])))
    assert picc == tag
    sun.verify(picc, FILE_KEY, window, sun.sun_mac(tag, FILE_KEY, window))
    data = window.ljust(96, b"\x00")
    assert sun.open_file(picc, FILE_KEY, sun.seal_file(tag, FILE_KEY, data)) == data


@both_modes
@pytest.mark.parametrize(("uid", "counter"), [(b"", 5), (UID, None), (b"", None)])
def test_a_tag_may_mirror_less(mode: SunMode, uid: bytes, counter: int | None) -> None:
    tag = PiccData(uid, counter, mode)
    filler = 15 - len(tag.mirrored) + (8 if mode is SunMode.LRP else 0)
    assert sun.open_picc(META_KEY, sun.seal_picc(META_KEY, tag, bytes(filler))) == tag
    mac = sun.sun_mac(tag, FILE_KEY, b"")
    sun.verify(tag, FILE_KEY, b"", mac)
    if counter is None:
        with pytest.raises(SunRefused):
            sun.open_file(tag, FILE_KEY, bytes(16))
        with pytest.raises(ValueError, match="counter"):
            sun.seal_file(tag, FILE_KEY, bytes(16))


@both_modes
def test_a_mac_is_of_one_tag_one_read_one_window_and_one_key(mode: SunMode) -> None:
    tag = PiccData(UID, 61, mode)
    mac = sun.sun_mac(tag, FILE_KEY, b"e=00&c=")
    strangers = [
        (PiccData(UID, 62, mode), FILE_KEY, b"e=00&c=", mac),
        (PiccData(UID[::-1], 61, mode), FILE_KEY, b"e=00&c=", mac),
        (tag, OTHER_KEY, b"e=00&c=", mac),
        (tag, FILE_KEY, b"e=01&c=", mac),
        (tag, FILE_KEY, b"e=00&c=", mac[:-1]),
        (tag, FILE_KEY, b"e=00&c=", b""),
    ]
    for bit in range(64):
        turned = (int.from_bytes(mac, "big") ^ (1 << bit)).to_bytes(8, "big")
        strangers.append((tag, FILE_KEY, b"e=00&c=", turned))
    for picc, key, window, received in strangers:
        with pytest.raises(SunRefused):
            sun.verify(picc, key, window, received)


def test_the_modes_do_not_verify_each_other() -> None:
    mac = sun.sun_mac(PiccData(UID, 61, SunMode.AES), FILE_KEY, b"")
    with pytest.raises(SunRefused):
        sun.verify(PiccData(UID, 61, SunMode.LRP), FILE_KEY, b"", mac)


@given(st.binary(max_size=40))
def test_any_bytes_are_tag_data_or_refused(noise: bytes) -> None:
    try:
        picc = sun.open_picc(META_KEY, noise)
    except SunRefused:
        return
    assert len(noise) in (16, 24)
    assert len(picc.uid) in (0, 7)


@given(st.text(max_size=16), st.text(max_size=8))
def test_any_texts_are_a_plain_mirror_or_refused(uid: str, counter: str) -> None:
    try:
        picc = sun.plain_picc(uid, counter)
    except SunRefused:
        return
    assert len(picc.uid) == 7


@pytest.mark.parametrize(
    ("uid", "counter"),
    [
        (UID.hex(), "00003D"),
        (UID.hex(), "3D"),
        (UID.hex(), "0x3D00"),
        (UID.hex(), "+0003D"),
        (UID.hex(), "0_003D"),
        (UID.hex(), " 0003D"),
        (UID.hex()[:-2], "00003D"),
        ("", ""),
        ("zz" * 7, "00003D"),
        (UID.hex(), "00003D00"),
    ],
)
def test_a_plain_mirror_is_two_hexadecimal_texts(uid: str, counter: str) -> None:
    if (uid, counter) == (UID.hex(), "00003D"):
        assert sun.plain_picc(uid, counter) == PiccData(UID, 61, SunMode.AES)
        return
    with pytest.raises(SunRefused):
        sun.plain_picc(uid, counter)


@pytest.mark.parametrize("size", [0, 1, 15, 17])
def test_file_data_are_whole_blocks(size: int) -> None:
    with pytest.raises(SunRefused):
        sun.open_file(PiccData(UID, 61, SunMode.AES), FILE_KEY, bytes(size))
