"""BER-TLV against published structures, and against bytes that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.tlv import TlvError, parse

VECTORS = Path(__file__).parents[1] / "vectors" / "ber_tlv.json"
CASES: list[dict[str, Any]] = [
    case for case in json.loads(VECTORS.read_text())["cases"] if "tlv" in case
]


def tree(data: bytes, shape: list[Any]) -> list[Any]:
    """Parse as deep as ``shape`` goes."""
    found = parse(data).items()
    return [
        [f"{tag:02x}", tree(value, inner) if isinstance(inner, list) else value.hex()]
        for (tag, value), (_, inner) in zip(found, shape, strict=True)
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_published_structures(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["tlv"])
    if case.get("expect") == "reject":
        with pytest.raises(TlvError):
            parse(data)
    else:
        assert tree(data, case["parsed"]) == case["parsed"]


@pytest.mark.parametrize("data", ["6F", "6F05AA", "6F8101", "9F8181", "6F80", "8000 8000"])
def test_what_is_cut_or_doubled_is_refused(data: str) -> None:
    with pytest.raises(TlvError):
        parse(bytes.fromhex(data))


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        found = parse(data)
    except TlvError:
        return
    assert sum(len(value) for value in found.values()) <= len(data)
