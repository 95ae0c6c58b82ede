"""What the terminal holds, and whom it believes: key files and the grant, read and checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from edge.config import Settings
from edge.errors import BadConfig
from edge.inbox import Trust
from edge.journal import Identity
from protocol import grant
from protocol.errors import ProtocolError
from protocol.signing import Ed25519Signer, P256Signer, VerifyingKey


@dataclass(frozen=True, slots=True)
class Keys:
    """What the terminal holds and whom it believes."""

    owner: Identity
    trust: Trust
    issuers: Mapping[bytes, VerifyingKey]
    reference: bytes


def load_keys(settings: Settings) -> Keys:
    """Read every key file and the grant; BadConfig names what does not fit."""
    keys = settings.config.keys
    trust = Trust(settings.keys("keys.cloud", keys.cloud), settings.keys("keys.rules", keys.rules))
    signer = _signer(settings)
    granted = settings.read("keys.grant", keys.grant)
    try:
        opened = grant.accept(granted, trust.cloud)
    except ProtocolError as error:
        raise BadConfig(f"{settings.file}: keys.grant: {error}") from error
    if (opened.tenant, opened.site, opened.terminal) != settings.at:
        raise BadConfig(f"{settings.file}: keys.grant: it is for terminal {opened.terminal}")
    if opened.key_id != signer.key_id:
        raise BadConfig(f"{settings.file}: keys.grant: it is for another key than keys.signing")
    owner = Identity(opened.terminal, opened.epoch, granted, signer, signer.verifier)
    issuers = settings.keys("keys.issuers", keys.issuers)
    return Keys(owner, trust, issuers, _reference(settings))


def _signer(settings: Settings) -> Ed25519Signer | P256Signer:
    name = "keys.signing"
    pem = settings.read(name, settings.config.keys.signing)
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise BadConfig(f"{settings.file}: {name}: not a PKCS #8 PEM file") from error
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return Ed25519Signer(key.private_bytes_raw())
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return P256Signer(key)
    raise BadConfig(f"{settings.file}: {name}: the key must be Ed25519 or P-256")


def _reference(settings: Settings) -> bytes:
    text = settings.read("keys.reference", settings.config.keys.reference)
    try:
        key = bytes.fromhex(text.decode().strip())
    except ValueError:
        key = b""
    if len(key) != 32:
        raise BadConfig(f"{settings.file}: keys.reference: the file must hold 64 hex characters")
    return key
