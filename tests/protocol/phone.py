"""A phone with a member's card on it, as tests and benches hold one."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec
from msgspec.structs import replace

from protocol.qr_credential import PhoneCredential, issue, show
from protocol.signing import Ed25519Signer, P256Signer

TENANT = "harbour"
TODAY = 20_000
NOW_S = TODAY * 86_400 + 3_600
ISSUER = Ed25519Signer(bytes(range(32)))
ISSUERS = {ISSUER.key_id: ISSUER.verifier}
NONCE = bytes(8)


def phone_key(number: int = 1) -> P256Signer:
    """The key that lives in the n-th phone."""
    return P256Signer(ec.derive_private_key(number, ec.SECP256R1()))


PHONE = phone_key()
CREDENTIAL = PhoneCredential(
    credential_id=bytes(range(16)),
    card_id=bytes(range(16, 32)),
    public_key=PHONE.verifier.public,
    tenant=TENANT,
    issued_day=TODAY - 10,
    expires_day=TODAY + 355,
)


def code(now_s: int = NOW_S, nonce: bytes = NONCE, **changed: object) -> str:
    """What the phone shows, with a credential changed before it was issued."""
    return show(issue(replace(CREDENTIAL, **changed), ISSUER), PHONE, now_s, nonce)
