"""Answers to reset of real cards, as pcsc-tools collects them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.atr import from_ats, historical_bytes, takes_extended_length

VECTORS = Path(__file__).parents[1] / "vectors" / "atr_parse.json"
CASES: list[dict[str, Any]] = [
    case for case in json.loads(VECTORS.read_text())["cases"] if "historical_bytes" in case
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["atr"])
def test_historical_bytes_of_real_cards(case: dict[str, Any]) -> None:
    assert historical_bytes(bytes.fromhex(case["atr"])).hex() == case["historical_bytes"]


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
