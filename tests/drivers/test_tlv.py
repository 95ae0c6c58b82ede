"""BER-TLV written and read back, and bytes that are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.tlv import DataObject, TlvError, encode, encode_length, parse, parse_tree

# Tags as they stand in the bytes: primitive and constructed, of one to three bytes.
PRIMITIVE = st.sampled_from((0x53, 0x84, 0x5F2D, 0x9F65, 0xDF810C))
CONSTRUCTED = st.sampled_from((0x6F, 0xA5, 0x7F49, 0xBF0C))
trees = st.recursive(
    st.builds(DataObject, PRIMITIVE, st.binary(max_size=300)),
    lambda inner: st.builds(DataObject, CONSTRUCTED, st.lists(inner, max_size=3).map(tuple)),
    max_leaves=8,
)


def encoded(found: DataObject) -> bytes:
    value = found.value
    inner = value if isinstance(value, bytes) else b"".join(map(encoded, value))
    return encode(found.tag, inner)


@given(st.lists(trees, max_size=4))
def test_what_is_written_is_read_in_its_order(objects: list[DataObject]) -> None:
    data = b"".join(map(encoded, objects))
    assert parse_tree(data) == tuple(objects)


@given(st.integers(0, 2**32 - 1))
def test_a_length_is_written_in_its_shortest_form(length: int) -> None:
    if length < 0x80:
        assert encode_length(length) == bytes((length,))
    else:
        digits = f"{length:x}"
        digits = digits.zfill(len(digits) + len(digits) % 2)
        assert encode_length(length).hex() == f"8{len(digits) // 2}{digits}"


def test_a_length_above_four_bytes_is_refused() -> None:
    with pytest.raises(TlvError):
        encode_length(2**32)


def test_nesting_has_an_end() -> None:
    data = b""
    for _ in range(40):
        data = encode(0x6F, data)
    with pytest.raises(TlvError, match="deeper"):
        parse_tree(data)


def test_what_is_cut_off_inside_is_refused() -> None:
    with pytest.raises(TlvError):
        parse_tree(bytes.fromhex("6F03 8402 AA"))


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


@given(st.binary(max_size=60))
def test_any_bytes_are_taken_apart_or_refused(data: bytes) -> None:
    try:
        objects = parse_tree(data)
    except TlvError:
        return
    assert sum(len(encoded(found)) for found in objects) <= len(data)
