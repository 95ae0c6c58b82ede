"""What a member card carries to prove that we issued it, and which key proves that it is here.

Alone it proves issue, not presence: the card must also sign a fresh nonce with the named key.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from hmac import digest
from typing import Annotated

from msgspec import Meta, Struct

from protocol.codec import decode, encode
from protocol.record import Code, Count, Ident
from protocol.signing import Purpose, SigningKey, VerifyingKey, open_signed, sign


class Credential(Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """``public_key`` is a SEC 1 compressed P-256 point; days count from 1970-01-01 UTC."""

    version: int = 1
    card_id: Ident
    public_key: Annotated[bytes, Meta(min_length=33, max_length=33)]
    tenant: Code
    issued_day: Count
    expires_day: Count
    card_type: Code = "member"


def issue(credential: Credential, key: SigningKey) -> bytes:
    """Return the signed bytes of ``credential``, as they are written to the card."""
    return sign(encode(credential), Purpose.CREDENTIAL, key)


def accept(data: bytes, issuers: Mapping[bytes, VerifyingKey]) -> Credential:
    """Return the credential in ``data`` when one of ``issuers`` signed it."""
    return decode(open_signed(data, Purpose.CREDENTIAL, issuers), Credential)


def card_reference(reference_key: bytes, family: str, card_id: bytes) -> bytes:
    """16 bytes that name a card in records: HMAC-SHA256, so that nobody without the key goes back.

    ``reference_key`` has 32 bytes and is the tenant's.
    """
    return digest(reference_key, family.encode() + card_id, sha256)[:16]
