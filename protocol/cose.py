"""COSE_Sign1 of others (RFC 9052, section 4; RFC 9053, section 2), verified over the exact bytes.

For messages that no program of ours wrote, such as another issuer's. Ours have one form, a purpose
and a key id, and are read by ``signing`` alone: what passes here proves nothing there.
"""

from __future__ import annotations

from typing import NamedTuple

import cbor2
from cbor2 import CBORTag
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm

from protocol import cbor
from protocol.errors import BadSignature, Malformed

PublicKey = Ed25519PublicKey | Ed448PublicKey | ec.EllipticCurvePublicKey

_TAG = 18
_ALGORITHM, _CRITICAL, _KEY_ID = 1, 2, 4  # header labels: RFC 9052, table 3
_EDDSA = -8
# RFC 9053, table 1: the algorithm names the hash, the key the curve.
_ECDSA_HASHES: dict[int, HashAlgorithm] = {-7: SHA256(), -35: SHA384(), -36: SHA512()}
_CURVES: dict[str, type[ec.EllipticCurve]] = {
    "P-256": ec.SECP256R1,
    "P-384": ec.SECP384R1,
    "P-521": ec.SECP521R1,
}
_OCTET_CURVES: dict[str, type[Ed25519PublicKey] | type[Ed448PublicKey]] = {
    "Ed25519": Ed25519PublicKey,
    "Ed448": Ed448PublicKey,
}


class Sign1(NamedTuple):
    """The parts of a COSE_Sign1; its signature is not checked yet."""

    protected: bytes
    algorithm: object
    key_id: bytes | None
    payload: bytes
    signature: bytes

    def to_be_signed(self, external: bytes = b"") -> bytes:
        """The Sig_structure (RFC 9052, section 4.4); ``external`` is data that both sides know."""
        return cbor2.dumps(["Signature1", self.protected, external, self.payload])


def public_key(curve: str, x: bytes, y: bytes = b"") -> PublicKey:
    """Key from the curve's name and its coordinates as COSE_Key has them; Malformed for none."""
    try:
        if curve in _OCTET_CURVES:
            return _OCTET_CURVES[curve].from_public_bytes(x)
        point = b"\x04" + x + y
        return ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[curve](), point)
    except (KeyError, ValueError) as error:
        raise Malformed(f"not a public key on {curve}") from error


def read(message: bytes) -> Sign1:
    """Take a COSE_Sign1 apart, tagged (18) or not; Malformed for anything else.

    Also Malformed: a header on both sides, one that must be understood, and a detached payload.
    An empty protected header counts as the empty string, in whichever form it came (4.4).
    """
    body = cbor.decode(message).value
    if isinstance(body, CBORTag):
        body = body.value if body.tag == _TAG else None
    match body:
        case (bytes(protected), dict(unprotected), bytes(payload), bytes(signature)):
            headers = cbor.decode(protected).value if protected else {}
        case _:
            raise Malformed("not a COSE_Sign1")
    if not isinstance(headers, dict) or headers.keys() & unprotected.keys():
        raise Malformed("COSE: the protected header is no map, or repeated outside")
    both = {**headers, **unprotected}
    key_id = both.get(_KEY_ID)
    if _CRITICAL in both or not isinstance(key_id, bytes | None):
        raise Malformed("COSE: a header that must be understood, or a key id that is none")
    return Sign1(protected if headers else b"", both.get(_ALGORITHM), key_id, payload, signature)


def verify(message: Sign1, key: PublicKey, external: bytes = b"") -> None:
    """BadSignature unless ``key`` signed it with an algorithm that is this key's."""
    text = message.to_be_signed(external)
    try:
        match key, message.algorithm:
            case ec.EllipticCurvePublicKey(), int(algorithm) if algorithm in _ECDSA_HASHES:
                hashing = ec.ECDSA(_ECDSA_HASHES[algorithm])
                key.verify(_der(message.signature, key), text, hashing)
            case ((Ed25519PublicKey() | Ed448PublicKey()), int(algorithm)) if algorithm == _EDDSA:
                key.verify(message.signature, text)
            case _:
                raise BadSignature("COSE: the algorithm is not the key's")
    except InvalidSignature as error:
        raise BadSignature from error


def _der(signature: bytes, key: ec.EllipticCurvePublicKey) -> bytes:
    """Return r and s, each as long as the curve's order, in the form that the library takes."""
    size = -(-key.curve.key_size // 8)
    if len(signature) != 2 * size:
        raise BadSignature("COSE: the signature does not have the curve's length")
    r, s = signature[:size], signature[size:]
    return encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
