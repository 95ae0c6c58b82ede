"""COSE_Sign1: published vectors, both algorithms, and every byte that somebody may turn."""

from __future__ import annotations

import json
from pathlib import Path

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from protocol.errors import BadSignature, Malformed, ProtocolError, UnknownKey
from protocol.signing import (
    Ed25519Verifier,
    P256Signer,
    P256Verifier,
    Purpose,
    Signed,
    SigningKey,
    VerifyingKey,
    open_signed,
    sign,
    split,
    verify,
)
from tests.protocol.world import CLOUD_KEY, CLOUD_KEYS

VECTORS = Path(__file__).parents[1] / "vectors"
P256 = P256Signer(ec.derive_private_key(12345, ec.SECP256R1()))


def _published() -> list[dict[str, object]]:
    cases = json.loads((VECTORS / "cose_sign1.json").read_text())["cases"]
    return [case for case in cases if case["key"]["crv"] in ("P-256", "Ed25519")]


@pytest.mark.parametrize("case", _published(), ids=lambda case: str(case["name"]))
def test_published_cose_signatures(case: dict[str, object]) -> None:
    """The Sig_structure and the verifiers against signatures that others made."""
    message = bytes.fromhex(str(case["cose_sign1"]))
    protected, _, payload, signature = cbor2.loads(message).value
    key = case["key"]
    assert isinstance(key, dict)
    public: VerifyingKey
    if key["crv"] == "Ed25519":
        public = Ed25519Verifier(bytes.fromhex(key["x"]))
    else:
        public = P256Verifier(b"\x04" + bytes.fromhex(key["x"] + key["y"]))
    signed = Signed(0, Purpose.RECORD, b"", payload, signature, protected)
    if case["external_aad"]:  # we never use it: take the published structure as it is
        to_be_signed = bytes.fromhex(str(case["to_be_signed"]))
    else:
        to_be_signed = signed.to_be_signed
    if case["expect"] == "accept":
        assert to_be_signed.hex() == case["to_be_signed"]
        public.verify(signature, to_be_signed)
    else:
        with pytest.raises(BadSignature):
            public.verify(signature, to_be_signed)


@pytest.mark.parametrize("key", [CLOUD_KEY, P256], ids=["EdDSA", "ES256"])
def test_what_was_signed_opens(key: SigningKey) -> None:
    verifier = CLOUD_KEY.verifier if key is CLOUD_KEY else P256.verifier
    for size in (0, 1, 23, 24, 255, 256, 65535, 65536):
        message = sign(b"x" * size, Purpose.BUNDLE, key)
        assert open_signed(message, Purpose.BUNDLE, {key.key_id: verifier}) == b"x" * size


def test_a_signature_serves_one_purpose_only() -> None:
    message = sign(b"payload", Purpose.WATERMARK, CLOUD_KEY)
    with pytest.raises(BadSignature):
        open_signed(message, Purpose.COMMAND, CLOUD_KEYS)


def test_an_unknown_key_is_named() -> None:
    message = sign(b"payload", Purpose.WATERMARK, P256)
    with pytest.raises(UnknownKey) as caught:
        open_signed(message, Purpose.WATERMARK, CLOUD_KEYS)
    assert P256.key_id.hex() in str(caught.value)


def test_the_algorithm_is_the_keys_not_the_messages() -> None:
    signed = split(sign(b"payload", Purpose.WATERMARK, CLOUD_KEY))
    with pytest.raises(UnknownKey):
        verify(signed, Purpose.WATERMARK, P256.verifier)


@pytest.mark.parametrize("bit", range(8))
def test_every_turned_bit_is_refused(bit: int) -> None:
    message = sign(b"a payload of some length", Purpose.WATERMARK, CLOUD_KEY)
    for place in range(len(message)):
        turned = bytearray(message)
        turned[place] ^= 1 << bit
        with pytest.raises(ProtocolError):
            open_signed(bytes(turned), Purpose.WATERMARK, CLOUD_KEYS)


def test_every_cut_and_every_tail_is_refused() -> None:
    message = sign(b"a payload", Purpose.WATERMARK, CLOUD_KEY)
    for length in range(len(message)):
        with pytest.raises(Malformed):
            split(message[:length])
    with pytest.raises(Malformed):
        split(message + b"\x00")


def test_a_second_encoding_of_the_same_value_is_refused() -> None:
    message = sign(b"a payload", Purpose.WATERMARK, CLOUD_KEY)
    parts = cbor2.loads(message).value
    untagged = cbor2.dumps(list(parts))
    long_length = message.replace(b"\x49a payload", b"\x58\x09a payload")
    for other in (untagged, long_length):
        assert other != message
        with pytest.raises(Malformed):
            split(other)


def test_an_es256_signature_has_one_form() -> None:
    """Of s and n - s only the lower counts: else anybody could give a record another hash."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    for number in range(20):
        message = sign(bytes([number]), Purpose.RECORD, P256)
        s = int.from_bytes(message[-32:], "big")
        other = message[:-32] + (order - s).to_bytes(32, "big")
        keys = {P256.key_id: P256.verifier}
        assert open_signed(message, Purpose.RECORD, keys) == bytes([number])
        with pytest.raises(BadSignature):
            open_signed(other, Purpose.RECORD, keys)
