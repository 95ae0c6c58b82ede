"""Keys become what was typed. The device itself needs a kernel's input device and is not here."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import ReaderLost, ReaderRefused
from drivers.listening import Finding, ListeningReader
from drivers.reader import ReaderSettings
from drivers.readers.keyboard_wedge import READER, EventSource, KeyFramer, Keys
from tests.protocol.phone import code

# linux/input-event-codes.h, written down here a second time and in another order.
CODES = dict(
    zip(
        "abcdefghijklmnopqrstuvwxyz0123456789-=[];'`\\,./ \n",
        bytes((30, 48, 46, 32, 18, 33, 34, 35, 23, 36, 37, 38, 50, 49, 24, 25, 16, 19, 31, 20, 22))
        + bytes((47, 17, 45, 21, 44, 11, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 26, 27, 39, 40, 41))
        + bytes((43, 51, 52, 53, 57, 28)),
        strict=True,
    )
)
SHIFTED = dict(zip('_+{}:"~|<>?)!@#$%^&*(', "-=[];'`\\,./0123456789", strict=True))
LEFT_SHIFT, RIGHT_SHIFT = 42, 54
KEY, SYN, DROPPED = 1, 0, 3


def event(kind: int, code_: int, value: int) -> bytes:
    """One struct input_event of this machine."""
    return struct.pack("llHHi", 1, 2, kind, code_, value)


def press(key: int) -> bytes:
    """Down, said again by the kernel as it is held, up, each with its report."""
    report = event(SYN, 0, 0)
    return b"".join(event(KEY, key, value) + report for value in (1, 2, 0))


def typing(text: str, shift: int = LEFT_SHIFT) -> bytes:
    """What the kernel tells of a device that types ``text``."""
    events = b""
    for char in text:
        plain = SHIFTED.get(char, char.lower())
        if plain == char:
            events += press(CODES[char])
        else:
            events += event(KEY, shift, 1) + press(CODES[plain]) + event(KEY, shift, 0)
    return events


def found(name: str, parts: Iterable[bytes]) -> list[Finding]:
    framer = KeyFramer(name)
    return [finding for part in parts for finding in framer(part, 0.0)]


@pytest.mark.parametrize("shift", [LEFT_SHIFT, RIGHT_SHIFT])
@given(text=st.text([*CODES, *SHIFTED, *"ABCXYZ"]), cut=st.integers(1, 100))
def test_what_is_typed_is_read_however_the_events_are_cut(text: str, cut: int, shift: int) -> None:
    events, keys = typing(text, shift), Keys()
    parts = [events[at : at + cut] for at in range(0, len(events), cut)]
    assert b"".join(map(keys.typed, parts)) == text.encode()


def test_the_keypad_types_too() -> None:
    keypad = [82, 79, 80, 81, 75, 76, 77, 71, 72, 73, 96]
    assert Keys().typed(b"".join(map(press, keypad))) == b"0123456789\n"


def test_a_code_and_a_number_are_read_up_to_enter() -> None:
    text = code()
    assert found("text", [typing(text + "\n")]) == [Finding(text=text)]
    assert found("hex", [typing("04A1b2C3\n")]) == [Finding(number=bytes.fromhex("04A1B2C3"))]
    assert found("decimal", [typing("0012345678\n12\n")]) == [Finding(number=b"0012345678")]
    assert found("track2", [typing(";6210123456789=3012?\n")]) == [Finding(number=b"6210123456789")]


@pytest.mark.parametrize("name", ["text", "hex", "decimal"])
def test_where_the_kernel_lost_keys_nothing_is_read(name: str) -> None:
    lost = typing("0012") + event(SYN, DROPPED, 0) + typing("345678\n")
    assert found(name, [lost]) == []
    assert len(found(name, [lost, typing("0012345678\n")])) == 1


def test_keys_that_were_lost_release_shift() -> None:
    events = event(KEY, LEFT_SHIFT, 1) + event(SYN, DROPPED, 0) + typing("\n0012345678\n")
    assert found("text", [events]) == [Finding(text="0012345678")]


@given(st.lists(st.binary(max_size=200)))
def test_any_bytes_are_survived(parts: list[bytes]) -> None:
    assert all(finding.text for finding in found("text", parts))


def test_a_reader_on_events_is_lost_when_they_end() -> None:
    ours, devices = os.pipe()
    reader = ListeningReader("keyboard", EventSource(ours), KeyFramer("text"), 0.1)
    os.write(devices, typing("0012345678\n"))
    presented = reader.wait_for_card(5.0)
    assert presented
    assert presented.text == "0012345678"
    assert reader.wait_for_removal(5.0)
    os.close(devices)
    with pytest.raises(ReaderLost):
        reader.wait_for_card(5.0)
    reader.close()
    reader.close()
    with pytest.raises(ReaderLost):
        reader.wait_for_card(5.0)


def test_what_is_not_there_or_no_keyboard_is_lost_and_what_means_nothing_refused(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").touch()
    for name in ("file", "nothing"):
        with pytest.raises(ReaderLost):
            READER.open(ReaderSettings(f"text:{tmp_path / name}"))
    for path in ("", "morse:/dev/input/event0", "text:event0", "text:/dev/input/event0?baud=1"):
        with pytest.raises(ReaderRefused):
            READER.open(ReaderSettings(path))
