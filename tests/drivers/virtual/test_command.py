"""The card reads all seven cases of ISO/IEC 7816-3 and refuses what is none."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.virtual.command import Command, Refused, parse

HEADER = bytes.fromhex("00A40400")


@pytest.mark.parametrize(
    ("body", "data", "ne", "extended"),
    [
        ("", b"", None, False),
        ("05", b"", 5, False),
        ("00", b"", 256, False),
        ("02AABB", b"\xaa\xbb", None, False),
        ("02AABB03", b"\xaa\xbb", 3, False),
        ("02AABB00", b"\xaa\xbb", 256, False),
        ("000000", b"", 65536, True),
        ("000105", b"", 261, True),
        ("000002AABB", b"\xaa\xbb", None, True),
        ("000002AABB0000", b"\xaa\xbb", 65536, True),
        ("000002AABB0100", b"\xaa\xbb", 256, True),
    ],
)
def test_each_case(body: str, data: bytes, ne: int | None, *, extended: bool) -> None:
    command = parse(HEADER + bytes.fromhex(body))
    assert command == Command(0x00, 0xA4, 0x04, 0x00, data, ne, extended)


@pytest.mark.parametrize(
    "apdu", ["", "00A404", "00A4040002AA", "00A4040002AABBCCDD", "00A404000000", "00A4040000000200"]
)
def test_wrong_lengths_are_6700(apdu: str) -> None:
    with pytest.raises(Refused, match="6700"):
        parse(bytes.fromhex(apdu))


@given(st.binary(max_size=600))
def test_any_bytes_are_a_command_or_6700(apdu: bytes) -> None:
    with contextlib.suppress(Refused):
        command = parse(apdu)
        assert len(command.data) <= len(apdu)
        assert command.ne is None or 1 <= command.ne <= 65536
