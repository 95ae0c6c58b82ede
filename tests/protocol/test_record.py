"""Records: one encoding, strict reading, and a description that others can check against."""

from __future__ import annotations

from pathlib import Path

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from protocol.codec import decode, encode
from protocol.errors import Malformed, ProtocolError, TooLarge, WrongVersion
from protocol.moment import Moment, Quality
from protocol.record import (
    BundleRef,
    Card,
    CardClass,
    Kind,
    Line,
    Mode,
    Record,
    Tender,
    read,
    seal,
)
from protocol.signing import Purpose, sign
from tests.protocol.world import FIRST_HEAD, TERMINAL_KEY, run, sale

CODES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.", max_size=20)
AMOUNTS = st.integers(0, 1_000_000_000)
IDENTS = st.binary(min_size=16, max_size=16)
HASHES = st.binary(min_size=32, max_size=32)
CARDS = st.builds(
    Card,
    reference=IDENTS,
    family=CODES,
    assurance=st.sampled_from(CardClass),
    counter=st.none() | st.integers(0, 2**53 - 1),
    balance_before=st.none() | AMOUNTS,
    proof=st.binary(max_size=100),
)
RECORDS = st.builds(
    Record,
    tid=IDENTS,
    terminal=CODES,
    epoch=st.integers(1, 2**31 - 1),
    seq=st.integers(1, 2**53 - 1),
    prev=HASHES,
    moment=st.builds(
        Moment,
        st.binary(min_size=8, max_size=8),
        st.integers(0, 2**53 - 1),
        st.integers(0, 2**48 - 1),
        st.sampled_from(Quality),
        st.integers(0, 2**48 - 1),
    ),
    kind=st.sampled_from(Kind),
    card=st.none() | CARDS,
    lines=st.lists(
        st.builds(Line, CODES, st.integers(1, 99), AMOUNTS, AMOUNTS, st.tuples(CODES)), max_size=3
    ).map(tuple),
    tenders=st.lists(st.builds(Tender, CODES, AMOUNTS), max_size=2).map(tuple),
    earned=AMOUNTS,
    spent=AMOUNTS,
    tier=CODES,
    bundle=st.none() | st.builds(BundleRef, st.integers(0, 2**53 - 1), HASHES),
    list_version=st.integers(0, 2**53 - 1),
    mode=st.sampled_from(Mode),
    offline_left=st.none() | st.tuples(st.integers(0, 50), AMOUNTS),
    receipt=CODES,
    refers_to=st.none() | IDENTS,
    order=st.text(max_size=30),
    reason=CODES,
    note=st.text(max_size=50),
)
Schema = pytest.importorskip("pycddl", reason="pycddl has wheels for x86-64 alone").Schema
_DESCRIPTION = (Path(__file__).parents[2] / "protocol" / "record.cddl").read_text()
# pycddl 0.6 takes only the last of two alternatives inside a nested array, so each form of a card
# is checked by its own reading of the description.
WITHOUT_PURSE = Schema(_DESCRIPTION)
WITH_PURSE = Schema(_DESCRIPTION.replace(" / nil", ""))


@given(RECORDS)
def test_a_record_comes_back_and_fits_its_description(record: Record) -> None:
    data = encode(record)
    assert decode(data, Record) == record
    for card, description in (
        (Card(b"r" * 16, "cpu", CardClass.SECURE), WITHOUT_PURSE),
        (Card(b"r" * 16, "cpu", CardClass.VALUE, 7, 500, 300, b"proof"), WITH_PURSE),
    ):
        description.validate_cbor(encode(structs.replace(record, card=card)))
    WITHOUT_PURSE.validate_cbor(encode(structs.replace(record, card=None)))


@given(RECORDS, st.data())
def test_bytes_that_decode_are_the_one_encoding(record: Record, data: st.DataObject) -> None:
    """Whatever is done to the bytes, they are refused or are the encoding of what they say."""
    changed = bytearray(encode(record))
    place = data.draw(st.integers(0, len(changed) - 1))
    changed[place] = data.draw(st.integers(0, 255))
    try:
        again = decode(bytes(changed), Record)
    except ProtocolError:
        return
    assert encode(again) == bytes(changed)


@given(st.binary(max_size=300))
def test_garbage_is_refused_with_a_code(data: bytes) -> None:
    for kind in (b"", b"\xd2\x84", b"\xa1"):
        with pytest.raises(ProtocolError):
            read(kind + data)


def _forms() -> dict[str, bytes]:
    plain = cbor2.loads(encode(sale(FIRST_HEAD)))
    backwards = dict(reversed(plain.items()))
    return {
        "keys in another order": cbor2.dumps(backwards),
        "a default written out": cbor2.dumps({0: 1} | plain),
        "an unknown field": cbor2.dumps(plain | {99: 1}),
        "a text key": cbor2.dumps(plain | {"a": 1}),
        "a float amount": cbor2.dumps(plain | {11: 5.0}),
        "a boolean amount": cbor2.dumps(plain | {11: True}),
        "a negative amount": cbor2.dumps(plain | {11: -5}),
        "an amount above the limit": cbor2.dumps(plain | {11: 1_000_000_001}),
        "an unknown kind": cbor2.dumps(plain | {7: 99}),
        "a short hash": cbor2.dumps(plain | {5: b"short"}),
        "a missing field": cbor2.dumps({k: v for k, v in plain.items() if k != 4}),
        "a tail": encode(sale(FIRST_HEAD)) + b"\x00",
        "an array": cbor2.dumps([1, 2, 3]),
        "a duplicate key": b"\xa2\x01\x01\x01\x01",
        "an indefinite map": b"\xbf" + encode(sale(FIRST_HEAD))[1:] + b"\xff",
        "nothing": b"",
    }


@pytest.mark.parametrize("name", _forms())
def test_other_forms_are_refused(name: str) -> None:
    with pytest.raises(Malformed):
        decode(_forms()[name], Record)


def test_a_sealed_record_is_read_as_it_was_signed() -> None:
    sealed = run(1)[0]
    again, signed = read(sealed.data)
    assert again == sealed
    TERMINAL_KEY.verifier.verify(signed.signature, signed.to_be_signed)


def test_another_wire_version_is_refused_by_name() -> None:
    record = structs.replace(sale(FIRST_HEAD), version=2)
    with pytest.raises(WrongVersion):
        read(sign(encode(record), Purpose.RECORD, TERMINAL_KEY))


def test_a_version_of_any_size_is_refused_by_name() -> None:
    plain = cbor2.loads(encode(sale(FIRST_HEAD)))
    for version in (0, 2, 2**63, 1 << 40_000, "1"):
        data = sign(cbor2.dumps({0: version} | plain), Purpose.RECORD, TERMINAL_KEY)
        with pytest.raises((WrongVersion, TooLarge)):
            read(data)


def test_what_nobody_could_read_is_not_signed() -> None:
    """Structs do not check themselves: a record that was signed wrong would end the journal."""
    lines = (Line("coffee", 1, 500, 500, tuple(f"r{n}" for n in range(17))),)
    for change in ({"lines": lines}, {"earned": -1}, {"terminal": "UPPER"}, {"tid": b"short"}):
        with pytest.raises(Malformed):
            seal(structs.replace(sale(FIRST_HEAD), **change), TERMINAL_KEY)


def test_a_record_above_the_limit_is_neither_sealed_nor_read() -> None:
    lines = tuple(Line(f"sku-{n}" * 6, 1, 1, 1, ("r" * 40,) * 6) for n in range(50))
    record = structs.replace(sale(FIRST_HEAD), lines=lines)
    with pytest.raises(TooLarge):
        seal(record, TERMINAL_KEY)
    with pytest.raises(TooLarge):
        read(bytes(8 * 1024 + 1))
