"""COSE_Sign1 of others: what is accepted, and everything around it that is not."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from protocol import cose
from protocol.errors import BadSignature, Malformed
from protocol.signing import Ed25519Signer, Purpose, sign

PRIVATE = bytes(range(32))
SIGNER = Ed25519PrivateKey.from_private_bytes(PRIVATE)
KEY = SIGNER.public_key()


def signed(
    protected: bytes, unprotected: dict[Any, Any], payload: bytes, external: bytes = b""
) -> bytes:
    covered = b"" if protected == b"\xa0" else protected
    text = cbor2.dumps(["Signature1", covered, external, payload])
    return cbor2.dumps(cbor2.CBORTag(18, [protected, unprotected, payload, SIGNER.sign(text)]))


@given(payload=st.binary(max_size=300), external=st.binary(max_size=20), tag=st.booleans())
def test_a_signature_covers_payload_and_what_both_know(
    payload: bytes, external: bytes, *, tag: bool
) -> None:
    message = signed(b"\xa1\x01\x27", {4: b"k"}, payload, external)
    opened = cose.read(message if tag else message[1:])
    assert (opened.payload, opened.key_id, opened.algorithm) == (payload, b"k", -8)
    cose.verify(opened, KEY, external)
    with pytest.raises(BadSignature):
        cose.verify(opened, KEY, external + b"x")


def test_a_changed_bit_is_refused() -> None:
    message = signed(b"\xa1\x01\x27", {}, b"payload")
    for bit in range(8 * len(message)):
        at, shift = divmod(bit, 8)
        changed = message[:at] + bytes((message[at] ^ 1 << shift,)) + message[at + 1 :]
        with pytest.raises((Malformed, BadSignature)):
            cose.verify(cose.read(changed), KEY)


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    for message in (data, b"\xd2\x84" + data, b"\x84\x43\xa1\x01\x27\xa0" + data):
        with pytest.raises((Malformed, BadSignature)):
            cose.verify(cose.read(message), KEY)


@pytest.mark.parametrize(
    ("protected", "unprotected"),
    [
        (b"\xa1\x01\x27", {1: -8}),  # a header twice
        (b"\xa2\x01\x27\x02\x81\x04", {}),  # a header that must be understood
        (b"\xa1\x01\x27", {4: "text"}),  # a key id that is none
        (b"\x80", {}),  # not a map
        (b"\xa1\x01", {}),  # cut off
    ],
)
def test_a_header_that_is_none_is_malformed(protected: bytes, unprotected: dict[Any, Any]) -> None:
    with pytest.raises(Malformed):
        cose.read(signed(protected, unprotected, b"payload"))


@pytest.mark.parametrize("algorithm", [-7, -35, -257, "EdDSA", None])
def test_an_algorithm_of_another_key_is_refused(algorithm: object) -> None:
    message = cose.read(signed(b"\xa0", {1: algorithm}, b"payload"))
    with pytest.raises(BadSignature):
        cose.verify(message, KEY)


def test_a_point_off_the_curve_is_no_key() -> None:
    point = ec.generate_private_key(ec.SECP256R1()).public_key()
    octets = point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert cose.public_key("P-256", octets[1:33], octets[33:]) == point
    for curve, x, y in (
        ("P-256", octets[1:33], bytes(32)),
        ("P-999", octets[1:33], octets[33:]),
        ("Ed25519", bytes(31), b""),
    ):
        with pytest.raises(Malformed):
            cose.public_key(curve, x, y)


def test_a_message_of_ours_is_a_cose_sign1_to_others() -> None:
    ours = sign(b"payload", Purpose.RECORD, Ed25519Signer(PRIVATE))
    cose.verify(cose.read(ours), KEY)
