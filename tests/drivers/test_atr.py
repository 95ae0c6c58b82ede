"""Answers to reset: what they say, and bytes that are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.atr import AtrError, from_ats, historical_bytes, parse, takes_extended_length


def test_a_checksum_that_is_missing_or_wrong_is_told() -> None:
    whole = bytes.fromhex("3B8F8001804F0CA000000306030001000000006A")
    assert parse(whole).tck_valid is True
    assert parse(whole[:-1]).tck_valid is False
    assert parse(whole[:-1] + b"\x6b").tck_valid is False
    assert parse(whole + b"\x90\x00").trailing == b"\x90\x00"
    assert parse(bytes.fromhex("3B0401020304")).tck_valid is None


def test_a_reader_names_a_storage_card() -> None:
    card = parse(bytes.fromhex("3B8F8001804F0CA000000306030001000000006A")).storage_card
    assert card is not None
    assert (card.standard_text, card.card_text) == ("ISO 14443 A part 3", "MIFARE Classic 1K")
    assert parse(bytes.fromhex("3B8180018080")).storage_card is None


@pytest.mark.parametrize(
    ("ta1", "speed"), [("11", (372, 1)), ("96", (512, 32)), ("7A", (None, None))]
)
def test_a_reserved_speed_has_no_number(ta1: str, speed: tuple[int | None, int | None]) -> None:
    parsed = parse(bytes.fromhex(f"3B10{ta1}"))
    assert (parsed.fi, parsed.di) == speed


@pytest.mark.parametrize("atr", ["", "3B", "3B02AA", "3BF0", "3B80", "3B1180", "0300", "FF00"])
def test_what_is_no_answer_to_reset_is_refused(atr: str) -> None:
    with pytest.raises(AtrError):
        parse(bytes.fromhex(atr))


@given(st.binary(max_size=40).map(lambda tail: b"\x3b" + tail))
def test_every_byte_has_its_place(data: bytes) -> None:
    try:
        atr = parse(data)
    except AtrError:
        return
    checksum = b"" if atr.tck is None else bytes((atr.tck,))
    interface = bytes(atr.interface.values())
    assert data[:2] + interface + atr.historical + checksum + atr.trailing == data


@pytest.mark.parametrize(
    ("atr", "extended"),
    [
        ("3B89800154415 04C4544474552 50".replace(" ", ""), False),  # text, not compact TLV
        ("3B 85 80 01 80 73 C8 40 40 00", True),  # capabilities 73: third table 40
        ("3B 85 80 01 80 73 C8 40 00 00", False),  # third table without the bit
        ("3B 87 80 01 80 31 A0 73 C8 40 C0 00", True),  # another data object before it
        ("3B 84 80 01 80 73 C8 40", False),  # cut off
        ("", False),
    ],
)
def test_extended_length_is_believed_only_when_it_is_said(atr: str, extended: bool) -> None:  # noqa: FBT001
    assert takes_extended_length(bytes.fromhex(atr)) is extended


def test_a_contactless_card_looks_as_a_pcsc_reader_shows_it() -> None:
    atr = from_ats(bytes.fromhex("067880A10080"))
    assert atr.hex() == "3b818001" + "80" + "80"
    assert historical_bytes(atr) == b"\x80"


@given(st.binary(max_size=33))
def test_any_bytes_are_read(data: bytes) -> None:
    assert len(historical_bytes(data)) <= 15
    assert isinstance(takes_extended_length(data), bool)
    assert len(historical_bytes(from_ats(data))) <= 15
