"""Whether NXP made the chip: its signature over the UID, which any copy can carry as well.

A proof of origin, not of presence; reading the signature is left to the cards' dialogues.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA224

SIGNATURE_BYTES = 56  # r and s of secp224r1
UID_BYTES_MAX = 10  # triple size, ISO/IEC 14443-3, section 6.4.4

# NXP's public key of NTAG 424 DNA (AN12196, section 8.2), an uncompressed point of secp224r1.
NTAG_424_KEY = bytes.fromhex(
    "048a9b380af2ee1b98dc417fecc263f8449c7625cece82d9b916c992da"
    "209d68422b81ec20b65a66b5102a61596af3379200599316a00a1410"
)


def genuine(uid: bytes, signature: bytes, public_key: bytes = NTAG_424_KEY) -> bool:
    """Whether ``signature`` (56 bytes) is the key's over the UID itself, which is not hashed."""
    if len(signature) != SIGNATURE_BYTES or not 1 <= len(uid) <= UID_BYTES_MAX:
        return False
    half = SIGNATURE_BYTES // 2
    r, s = (int.from_bytes(part, "big") for part in (signature[:half], signature[half:]))
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP224R1(), public_key)
    # ECDSA reads a digest as a number: zeros in front give the UID the length that is asked for.
    digest = uid.rjust(half, b"\x00")
    try:
        key.verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(SHA224())))
    except InvalidSignature:
        return False
    return True
