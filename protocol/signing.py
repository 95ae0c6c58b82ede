"""COSE_Sign1 (RFC 9052, section 4.2) over exact bytes, with the purpose in the protected header.

Signed bytes are kept and passed on as they are; nothing here re-encodes a payload. Keys are
passed in. Ed25519 (EdDSA, -8) is the default; P-256 (ES256, -7) is for keys in a TPM or card.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple, Protocol

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from protocol.errors import BadSignature, Malformed, UnknownKey

EDDSA = -8
ES256 = -7
COSE_SIGN1_TAG = 18
SIGNATURE_BYTES = 64
# Order of P-256 (SEC 2, section 2.4.2).
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
# Key ids are the first bytes of SHA-256 of the public key: 2**-64 to meet by chance.
KEY_ID_BYTES = 8

_ALGORITHM, _KEY_ID, _TYPE = 1, 4, 16  # header labels: RFC 9052 table 3, RFC 9596


class Purpose(StrEnum):
    """What a signature is for (header ``typ``): one purpose's bytes never pass for another's."""

    RECORD = "tl/record"
    WATERMARK = "tl/watermark"
    BUNDLE = "tl/bundle"
    MEMBERS = "tl/members"
    COMMAND = "tl/command"
    DESIRED = "tl/desired"
    GRANT = "tl/grant"
    CREDENTIAL = "tl/credential"
    PHONE = "tl/phone"


def _protected(algorithm: int, purpose: Purpose) -> bytes:
    return cbor2.dumps({_ALGORITHM: algorithm, _TYPE: purpose.value})


_HEADERS = {
    _protected(algorithm, purpose): (algorithm, purpose)
    for algorithm in (EDDSA, ES256)
    for purpose in Purpose
}
_START = b"\xd2\x84"  # tag 18, array of 4
_KEY_ID_HEAD = b"\xa1\x04\x48"  # map of 1: label 4 -> 8 bytes
_SIGNATURE_HEAD = b"\x58\x40"  # 64 bytes
_HEAD_BYTES = {0x40 + length: 1 for length in range(24)} | {0x58: 2, 0x59: 3, 0x5A: 5}


class SigningKey(Protocol):
    """A private key, wherever it lives."""

    @property
    def key_id(self) -> bytes: ...
    @property
    def algorithm(self) -> int: ...
    def sign(self, message: bytes) -> bytes:
        """64 bytes: an Ed25519 signature, or r and s of ECDSA with SHA-256."""


class VerifyingKey(Protocol):
    """A public key."""

    @property
    def key_id(self) -> bytes: ...
    @property
    def algorithm(self) -> int: ...
    def verify(self, signature: bytes, message: bytes) -> None:
        """BadSignature unless ``signature`` (64 bytes) is of ``message``."""


class Ed25519Verifier:
    """Public Ed25519 key from its 32 raw bytes."""

    algorithm = EDDSA

    def __init__(self, public: bytes) -> None:
        try:
            self._key = ed25519.Ed25519PublicKey.from_public_bytes(public)
        except ValueError as error:
            raise Malformed("not an Ed25519 public key") from error
        self.public = public
        self.key_id = key_id(public)

    def verify(self, signature: bytes, message: bytes) -> None:
        """See VerifyingKey."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature as error:
            raise BadSignature from error


class P256Verifier:
    """Public P-256 key from its SEC 1 point (33 bytes compressed, or 65)."""

    algorithm = ES256

    def __init__(self, public: bytes) -> None:
        try:
            self._key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public)
        except ValueError as error:
            raise Malformed("not a P-256 public key") from error
        self.public = self._key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        self.key_id = key_id(self.public)

    def verify(self, signature: bytes, message: bytes) -> None:
        """See VerifyingKey."""
        if len(signature) != SIGNATURE_BYTES:
            raise BadSignature("an ES256 signature has 64 bytes")
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        try:
            self._key.verify(encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))
        except InvalidSignature as error:
            raise BadSignature from error


class Ed25519Signer:
    """Private Ed25519 key from its 32 raw bytes."""

    algorithm = EDDSA

    def __init__(self, private: bytes) -> None:
        self._key = ed25519.Ed25519PrivateKey.from_private_bytes(private)
        self.verifier = Ed25519Verifier(self._key.public_key().public_bytes_raw())
        self.key_id = self.verifier.key_id

    def sign(self, message: bytes) -> bytes:
        """See SigningKey."""
        return self._key.sign(message)


class P256Signer:
    """Private P-256 key."""

    algorithm = ES256

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        point = key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        self.verifier = P256Verifier(point)
        self.key_id = self.verifier.key_id

    def sign(self, message: bytes) -> bytes:
        """See SigningKey."""
        r, s = decode_dss_signature(self._key.sign(message, ec.ECDSA(SHA256())))
        s = min(s, _P256_ORDER - s)
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


class Signed(NamedTuple):
    """The parts of a COSE_Sign1; its signature is not checked yet."""

    algorithm: int
    purpose: Purpose
    key_id: bytes
    payload: bytes
    signature: bytes
    protected: bytes

    @property
    def to_be_signed(self) -> bytes:
        """The Sig_structure (RFC 9052, section 4.4)."""
        return cbor2.dumps(["Signature1", self.protected, b"", self.payload])


def key_id(public: bytes) -> bytes:
    """Name of a public key: the first 8 bytes of its SHA-256."""
    return sha256(public).digest()[:KEY_ID_BYTES]


def verifier(algorithm: int, public: bytes) -> VerifyingKey:
    """The public key of an algorithm number from its bytes; Malformed for others."""
    if algorithm == EDDSA:
        return Ed25519Verifier(public)
    if algorithm == ES256:
        return P256Verifier(public)
    raise Malformed(f"algorithm {algorithm} is not EdDSA (-8) or ES256 (-7)")


def sign(payload: bytes, purpose: Purpose, key: SigningKey) -> bytes:
    """Return the tagged COSE_Sign1 of ``payload``."""
    protected = _protected(key.algorithm, purpose)
    signature = key.sign(cbor2.dumps(["Signature1", protected, b"", payload]))
    body = [protected, {_KEY_ID: key.key_id}, payload, signature]
    return cbor2.dumps(cbor2.CBORTag(COSE_SIGN1_TAG, body))


def _head(length: int) -> bytes:
    """Head of a CBOR byte string (RFC 8949, section 3.1) in its shortest form."""
    if length < 24:
        return bytes((0x40 + length,))
    if length < 1 << 8:
        return bytes((0x58, length))
    if length < 1 << 16:
        return b"\x59" + length.to_bytes(2, "big")
    return b"\x5a" + length.to_bytes(4, "big")


def split(message: bytes) -> Signed:
    """Take a COSE_Sign1 apart; Malformed unless it has exactly our form. Checks no signature.

    The form leaves no choice in any byte but the four values, so it is read by position.
    """
    try:
        protected_end = 3 + message[2] - 0x40
        protected = message[3:protected_end]
        algorithm, purpose = _HEADERS[protected]
        payload_head = protected_end + len(_KEY_ID_HEAD) + KEY_ID_BYTES
        key_id = message[payload_head - KEY_ID_BYTES : payload_head]
        head_bytes = _HEAD_BYTES[message[payload_head]]
        payload = message[payload_head + head_bytes : -len(_SIGNATURE_HEAD) - SIGNATURE_BYTES]
    except (IndexError, KeyError) as error:
        raise Malformed("not a COSE_Sign1 of our form") from error
    signature = message[-SIGNATURE_BYTES:]
    parts = (_START, message[2:protected_end], _KEY_ID_HEAD, key_id, _head(len(payload)))
    if b"".join((*parts, payload, _SIGNATURE_HEAD, signature)) != message:
        raise Malformed("not a COSE_Sign1 of our form")
    return Signed(algorithm, purpose, key_id, payload, signature, protected)


def verify(signed: Signed, purpose: Purpose, key: VerifyingKey) -> None:
    """BadSignature unless ``key`` signed these bytes for ``purpose``.

    Of the two signatures s and n - s that ECDSA takes for the same, only the lower one counts:
    a message's hash includes its signature, and nobody else may give it another.
    """
    if signed.purpose != purpose:
        raise BadSignature(f"signed as {signed.purpose}, not {purpose}")
    if (signed.algorithm, signed.key_id) != (key.algorithm, key.key_id):
        raise UnknownKey(signed.key_id.hex())
    if key.algorithm == ES256 and int.from_bytes(signed.signature[32:], "big") > _P256_ORDER // 2:
        raise BadSignature("not the lower one of two equal signatures")
    key.verify(signed.signature, signed.to_be_signed)


def open_signed(message: bytes, purpose: Purpose, keys: Mapping[bytes, VerifyingKey]) -> bytes:
    """Return the payload of ``message`` when one of ``keys`` (by key id) signed it."""
    signed = split(message)
    key = keys.get(signed.key_id)
    if key is None:
        raise UnknownKey(signed.key_id.hex())
    verify(signed, purpose, key)
    return signed.payload
