"""Base45 there and back, and texts that are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.base45 import decode, encode
from protocol.errors import Malformed


@given(st.binary(max_size=100))
def test_what_is_encoded_is_decoded(data: bytes) -> None:
    assert decode(encode(data)) == data


@given(st.text(max_size=12) | st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:", max_size=12))
def test_a_text_has_one_meaning_or_none(text: str) -> None:
    try:
        data = decode(text)
    except Malformed:
        return
    assert encode(data) == text


@pytest.mark.parametrize(
    "text", ["A", "0", "BB80", ":::", "GGX", "5P", "::", "bb8", "BB_", "\uff22B8"]
)
def test_what_no_encoder_writes_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        decode(text)
