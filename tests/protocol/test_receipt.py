"""A receipt's proof names one record, fits a small QR code and is read strictly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from protocol.errors import ProtocolError
from protocol.receipt import CHARACTERS_MAX, PREFIX, Proof, proof_text, read_proof, receipt_number

PROOF = Proof(terminal="t-0001", epoch=3, seq=42, hash=bytes(range(32)))
LARGEST = Proof(terminal="t" * 40, epoch=(1 << 31) - 1, seq=(1 << 53) - 1, hash=b"\xff" * 32)
# QR version 5 at level M, in its alphanumeric mode: what a 58 mm printer draws large enough.
SMALL_CHARACTERS = 122


def test_a_proof_is_read_as_it_was_written() -> None:
    text = proof_text(PROOF)
    assert text.startswith(PREFIX)
    assert len(text) <= SMALL_CHARACTERS
    for proof in (PROOF, LARGEST):
        assert read_proof(proof_text(proof)) == proof
        assert len(proof_text(proof)) <= CHARACTERS_MAX
    assert receipt_number("t-0001", 3, 42) == "t-0001-3-42"


@pytest.mark.parametrize("text", ["", PREFIX, "TL1:AAA", proof_text(PROOF)[:-1], "A" * 500])
def test_what_is_no_proof_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        read_proof(text)


@given(st.text(max_size=CHARACTERS_MAX + 9))
def test_any_text_is_a_proof_or_refused(text: str) -> None:
    for shown in (text, PREFIX + text):
        try:
            assert proof_text(read_proof(shown)) == shown
        except ProtocolError:
            continue


def test_another_record_has_another_proof() -> None:
    others = ({"terminal": "t-0002"}, {"epoch": 4}, {"seq": 43}, {"hash": bytes(32)})
    texts = {proof_text(structs.replace(PROOF, **other)) for other in ({}, *others)}
    assert len(texts) == 1 + len(others)
