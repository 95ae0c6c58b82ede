"""The card on a phone's screen: an issued part and a part that the phone signs anew every 30 s.

The issued part is a COSE_Sign1 that names the phone's key (P-256); the phone signs its digest, the
time slot and a nonce. A code is refused outside its time and, by ``Shown``, the second time it is
shown. Nothing is compressed: keys and signatures cannot be, and so no code grows when it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from protocol import base45
from protocol.codec import decode, encode
from protocol.errors import (
    BadSignature,
    CodeExpired,
    CodeForeign,
    CodeStale,
    CodeUsed,
    Malformed,
    TooLarge,
)
from protocol.record import Code, Count, Ident
from protocol.signing import (
    SIGNATURE_BYTES,
    P256Verifier,
    Purpose,
    SigningKey,
    VerifyingKey,
    open_signed,
    sign,
)

PREFIX = "TL1:"
SLOT_S = 30
# Slots that a phone's clock may be off either way: phones keep time to a few seconds, and a code
# that was drawn in one slot is often read in the next.
SLOTS_OFF = 1
# With a tenant id of 7 letters a code has 412 characters (QR version 12 at level M), with the
# longest 463; version 13 at level M takes this many.
CHARACTERS_MAX = 483
NONCE_BYTES = 8
# Of a phone that draws a new nonce when its code was used: more in one slot is no person.
USES_IN_SLOT_MAX = 4
# One terminal sees one phone in two seconds at most: 45 within the slots that count, 20 times over.
REMEMBERED_MAX = 1_000

_NAMED_BYTES = 32 + 8 + NONCE_BYTES  # digest of the issued part, slot, nonce
_SIGNED_HEAD = b"tapledger/code/1"
_DAY_S = 86_400

_Point = Annotated[bytes, Meta(min_length=33, max_length=33)]
_Nonce = Annotated[bytes, Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
_Signature = Annotated[bytes, Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]


class PhoneCredential(
    Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True
):
    """``card_id`` is what the card's reference is made of: it stays when the phone is renewed.

    ``public_key`` is a SEC 1 compressed P-256 point; days count from 1970-01-01 UTC.
    """

    version: int = 1
    credential_id: Ident
    card_id: Ident
    public_key: _Point
    tenant: Code
    issued_day: Count
    expires_day: Count


class _Rotating(Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    version: int = 1
    issued: Annotated[bytes, Meta(max_length=CHARACTERS_MAX)]
    slot: Count
    nonce: _Nonce
    signature: _Signature


class Verified(NamedTuple):
    """A code that holds; whether it was shown before is for ``Shown``.

    ``proof``: digest of the issued part (32), slot (8, big-endian), nonce (8), signature (64).
    """

    credential: PhoneCredential
    slot: int
    nonce: bytes
    proof: bytes


def issue(credential: PhoneCredential, key: SigningKey) -> bytes:
    """Return the issued part, as the phone keeps it."""
    return sign(encode(credential), Purpose.PHONE, key)


def show(issued: bytes, phone: SigningKey, now_s: int, nonce: bytes) -> str:
    """Return the text of the code that the phone shows at ``now_s`` (seconds since 1970)."""
    slot = now_s // SLOT_S
    signature = phone.sign(_signed(sha256(issued).digest(), slot, nonce))
    rotating = _Rotating(issued=issued, slot=slot, nonce=nonce, signature=signature)
    return PREFIX + base45.encode(encode(rotating))


def is_code(text: str) -> bool:
    """Whether ``text`` claims to be such a code, and not a product's or a page's."""
    return text.startswith(PREFIX)


def verify(text: str, issuers: Mapping[bytes, VerifyingKey], tenant: str, now_s: int) -> Verified:
    """Return what the code proves at ``now_s``.

    TooLarge and Malformed for what is no code, BadSignature (UnknownKey) for a forged one,
    CodeForeign, CodeExpired, and CodeStale outside its slot and SLOTS_OFF either side.
    """
    if len(text) > CHARACTERS_MAX:
        raise TooLarge(f"{len(text)} characters")
    if not is_code(text):
        raise Malformed(f"not a code that begins with {PREFIX}")
    rotating = decode(base45.decode(text.removeprefix(PREFIX)), _Rotating)
    payload = open_signed(rotating.issued, Purpose.PHONE, issuers)
    credential = decode(payload, PhoneCredential)
    digest = sha256(rotating.issued).digest()
    signed = _signed(digest, rotating.slot, rotating.nonce)
    P256Verifier(credential.public_key).verify(rotating.signature, signed)
    if credential.tenant != tenant:
        raise CodeForeign
    if now_s // _DAY_S > credential.expires_day:
        raise CodeExpired
    if abs(rotating.slot - now_s // SLOT_S) > SLOTS_OFF:
        raise CodeStale
    proof = signed.removeprefix(_SIGNED_HEAD) + rotating.signature
    return Verified(credential, rotating.slot, rotating.nonce, proof)


def code_in(proof: bytes) -> bytes | None:
    """Name the code of a proof, without its signature; None for other bytes."""
    named = proof[:-SIGNATURE_BYTES]
    return named if len(named) == _NAMED_BYTES else None


def check_proof(credential: PhoneCredential, issued: bytes, proof: bytes) -> int:
    """Return the slot of a proof; BadSignature unless the phone of ``issued`` made it."""
    signed, signature = proof[:-SIGNATURE_BYTES], proof[-SIGNATURE_BYTES:]
    digest = sha256(issued).digest()
    if len(signed) != _NAMED_BYTES or not signed.startswith(digest):
        raise BadSignature("the proof of another issued part")
    P256Verifier(credential.public_key).verify(signature, _SIGNED_HEAD + signed)
    return int.from_bytes(signed[len(digest) : len(digest) + 8], "big")


def _signed(digest: bytes, slot: int, nonce: bytes) -> bytes:
    """The bytes that the phone signs: no card's challenge and no COSE message looks like them."""
    return _SIGNED_HEAD + digest + slot.to_bytes(8, "big") + nonce


class Shown:
    """Which codes were shown to one terminal, as long as they could be shown again.

    ``since_s``: codes drawn up to then are refused, because a program that starts does not know
    what was shown to the one before it; a person waits 30 s for the next code at most.
    """

    def __init__(self, since_s: int = 0) -> None:
        self._since = since_s // SLOT_S
        self._last: dict[bytes, tuple[int, frozenset[bytes]]] = {}

    def admit(self, verified: Verified, now_s: int) -> None:
        """Note a verified code; CodeUsed when it, or a newer one of its phone, was noted before."""
        self._forget(now_s // SLOT_S - SLOTS_OFF - 1)
        name, used = verified.credential.credential_id, frozenset[bytes]()
        last = self._last.get(name)
        if verified.slot <= self._since or (last and verified.slot < last[0]):
            raise CodeUsed
        if last and verified.slot == last[0]:
            used = last[1]
        if verified.nonce in used or len(used) >= USES_IN_SLOT_MAX:
            raise CodeUsed
        if last is None and len(self._last) >= REMEMBERED_MAX:
            raise CodeUsed("more phones than one terminal can have seen")
        self._last[name] = verified.slot, used | {verified.nonce}

    def _forget(self, slot: int) -> None:
        """Forget what was shown up to ``slot``, and take nothing of that time any more."""
        self._since = max(self._since, slot)
        self._last = {name: last for name, last in self._last.items() if last[0] > self._since}
