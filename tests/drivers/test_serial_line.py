"""The parsers of listening readers: whatever comes in, in whatever parts, is found or nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import ReaderRefused
from drivers.listening import Finding, ListeningReader
from drivers.number_format import FORMATS, decimal, hexadecimal, track_2
from drivers.readers import scanner, serial_tag
from drivers.serial_line import GAP_S, Device, LineFramer
from drivers.virtual.cards.em4100 import em4100_frame
from drivers.virtual.serial_line import track_2_frame

FRAMERS: dict[str, Callable[[], LineFramer]] = {
    **{name: partial(serial_tag.framer, name) for name in ("rdm6300", *FORMATS)},
    "scanner": scanner.framer,
    "scanner, prefix": partial(scanner.framer, "]Q1", "\x03\t"),
}
PIECES = st.sampled_from(
    [em4100_frame(bytes(5)), track_2_frame("62101234", "1"), b"TL1:\r\n", b"\x02", b"\x03", b"\r"]
)
TAG = bytes.fromhex("0100A1B2C3")


@pytest.mark.parametrize("name", FRAMERS)
@given(parts=st.lists(st.binary(max_size=300) | PIECES, max_size=20), pause=st.floats(0, 1))
def test_any_bytes_are_survived(name: str, parts: list[bytes], pause: float) -> None:
    framer = FRAMERS[name]()
    for number, part in enumerate(parts):
        for finding in framer(part, number * pause):
            assert bool(finding.number) != bool(finding.text)
            assert finding.text.isprintable()


@given(st.lists(st.binary(min_size=5, max_size=5), max_size=5), st.integers(1, 20))
def test_tags_are_read_however_their_frames_are_cut(tags: list[bytes], cut: int) -> None:
    said = b"".join(map(em4100_frame, tags))
    framer = serial_tag.framer("rdm6300")
    found = [each for at in range(0, len(said), cut) for each in framer(said[at : at + cut], 0.0)]
    assert found == [Finding(tag, number_format="rdm6300") for tag in tags]


@given(st.integers(1, 10), st.integers(0, 255))
def test_no_changed_letter_of_a_tag_is_read_as_another(at: int, letter: int) -> None:
    frame = bytearray(em4100_frame(TAG))
    frame[at] = letter
    assert serial_tag.framer("rdm6300")(bytes(frame), 0.0) in (
        [],
        [Finding(TAG, number_format="rdm6300")],
    )


@pytest.mark.parametrize(("pause", "read"), [(GAP_S * 0.9, 1), (GAP_S * 1.1, 0)])
def test_a_frame_comes_without_a_pause(pause: float, read: int) -> None:
    framer, frame = serial_tag.framer("rdm6300"), em4100_frame(TAG)
    assert framer(frame[:5], 1.0) == []
    assert len(framer(frame[5:], 1.0 + pause)) == read


def test_a_flood_is_kept_short_and_its_tail_is_no_frame() -> None:
    framer = LineFramer(lambda frame: Finding(text=frame.decode()), b"\n", GAP_S, 8)
    started = time.monotonic()
    assert framer(b"x" * 1_000_000, 0.0) == []
    assert time.monotonic() - started < 5.0
    assert framer(b"12345678\n12345678\n123456789\n1\n", 0.0) == [
        Finding(text="12345678"),
        Finding(text="1"),
    ]


@pytest.mark.parametrize("said", ["会员卡", "Kunde Nº 7", "]Q1TL1:AB"])
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_a_scanner_may_say_chinese_in_either_way(said: str, encoding: str) -> None:
    assert scanner.framer()(said.encode(encoding) + b"\r\n", 0.0) == [Finding(text=said)]


@pytest.mark.parametrize("frame", [b"TL1:AB\x07", b"\xff\xff", b"\x02", b"]C1TL1:AB", b"TL1:AB"])
def test_a_text_without_its_prefix_or_with_control_characters_is_dropped(frame: bytes) -> None:
    assert scanner.framer("]Q1")(frame + b"\r", 0.0) == []


@pytest.mark.parametrize(
    "frame",
    [
        b";6210123456789=3012?",
        track_2_frame("6210123456789", "3012").strip(),
        track_2_frame("6210123456789", "").strip(),
    ],
)
def test_a_stripe_with_or_without_its_check_character(frame: bytes) -> None:
    assert track_2(frame) == b"6210123456789"


@pytest.mark.parametrize(
    "frame",
    [
        b"6210123456789=3012?",
        b";6210123456789=3012",
        b";62101=3012?",
        b";6210123456789=3012?1",
        b"%B6210123456789^A/B^3012?",
        b";6210123456789123456=" + b"1" * 28 + b"?",
    ],
)
def test_what_is_no_track_2(frame: bytes) -> None:
    assert track_2(frame) is None


def test_numbers_have_a_length() -> None:
    assert hexadecimal(b"04A1B2C3D") is None
    assert hexadecimal(b"04A1B2") is None
    assert hexadecimal(b"04A1 2C3") is None
    assert decimal(b"1234567") is None
    assert decimal("\uff11".encode() * 8) is None


@given(st.text())
def test_any_path_is_one_or_refused(text: str) -> None:
    try:
        device = Device.parse(text, frozenset({"baud"}))
        assert device.baud(9600) >= 0
    except ReaderRefused:
        return
    assert device.path.startswith("/")


class _Held:
    """A line on which a tag is said again at every look, while it is held."""

    def __init__(self) -> None:
        self.is_held = True
        self._never = threading.Event()

    def read(self, timeout_s: float) -> bytes:
        """See Source."""
        self._never.wait(min(timeout_s, 0.02))
        return em4100_frame(TAG) if self.is_held else b""

    def close(self) -> None:
        """See Source."""


def test_a_tag_that_is_held_longer_than_the_quiet_time_stays_the_same_card() -> None:
    line = _Held()
    reader = ListeningReader("tag", line, serial_tag.framer("rdm6300"), 0.5)
    assert reader.wait_for_card(5.0)
    assert not reader.wait_for_removal(1.5)
    line.is_held = False
    assert reader.wait_for_removal(5.0)
    assert reader.wait_for_card(0.0) is None
