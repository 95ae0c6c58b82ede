"""The strict reader of CBOR beside cbor2, and beside what our own codec writes."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.cbor import DEPTH_MAX, decode
from protocol.codec import encode
from protocol.credential import Credential
from protocol.errors import Malformed

keys = st.integers(-(2**64), 2**64 - 1) | st.text(max_size=4) | st.binary(max_size=4)
values = st.recursive(
    keys | st.booleans() | st.none() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


def listed(value: Any) -> Any:
    """Arrays as cbor2 gives them."""
    if isinstance(value, tuple):
        return [listed(item) for item in value]
    if isinstance(value, dict):
        return {key: listed(item) for key, item in value.items()}
    return value


@given(values)
def test_what_cbor2_writes_is_read(value: Any) -> None:
    assert listed(decode(cbor2.dumps(value)).value) == value


@given(st.dictionaries(st.integers(0, 23), st.text(max_size=30) | st.integers(0, 2**40)))
def test_only_one_encoding_is_deterministic(value: dict[int, Any]) -> None:
    pairs = sorted(value.items())
    ordered = cbor2.dumps(dict(pairs))
    assert decode(ordered).deterministic
    assert not decode(b"\xbf" + ordered[1 if len(pairs) < 24 else 2 :] + b"\xff").deterministic
    backwards = cbor2.dumps(dict(reversed(pairs)))
    assert decode(backwards).deterministic is (backwards == ordered)


def test_our_own_messages_are_deterministic() -> None:
    credential = Credential(
        card_id=bytes(16), public_key=bytes(33), tenant="t", issued_day=1, expires_day=70_000
    )
    assert decode(encode(credential)).deterministic


# Heads of every kind, so that arbitrary bytes nest.
heads = st.lists(
    st.sampled_from(
        b"\x00\x18\x20\x41\x5f\x61\x7f\x81\x82\x9f\xa1\xa2\xbf\xc1\xc2\xf6\xf8\xf9\xff"
    ),
    max_size=24,
)


@given(st.binary(max_size=40) | heads.map(bytes))
def test_arbitrary_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(Malformed):
        decode(data)


@pytest.mark.parametrize(
    "text",
    [
        "",  # nothing
        "18",  # a number cut off
        "0000",  # two items
        "62c3",  # a text cut off
        "61ff",  # not UTF-8
        "1c",  # a reserved head
        "1f",  # an integer without end
        "ff",  # a break alone
        "82",  # items missing
        "9affffffff",  # four thousand million items
        "9f01",  # no break
        "5f6161ff",  # a text in a byte string
        "5f5f4101ffff",  # parts of parts
        "a10101a1",  # bytes behind
        "a201010102",  # a key twice
        "a20101180102",  # the same key, written longer
        "a1a00001",  # a map as key, and bytes behind
        "a1a000",  # a map as key
        "a1c1a000",  # and one in a tag
        "bf01ff",  # a key without value
        "f800",  # a simple value that has no such form
        "fc",  # a reserved simple value
    ],
)
def test_what_is_malformed_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        decode(bytes.fromhex(text))


@pytest.mark.parametrize(
    "text",
    [
        "1817",
        "190001",
        "fa3f800000",
        "fb3ff0000000000000",
        "f97e01",
        "c24101",
        "c249000102030405060708",
        "a26161000100",
    ],
)
def test_a_longer_or_disordered_form_is_read_and_told(text: str) -> None:
    assert not decode(bytes.fromhex(text)).deterministic


def test_nesting_has_an_end() -> None:
    assert decode(b"\x81" * (DEPTH_MAX - 1) + b"\x00").deterministic
    with pytest.raises(Malformed, match="deeper"):
        decode(b"\x81" * DEPTH_MAX + b"\x00")
