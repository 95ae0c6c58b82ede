"""What the terminal holds, and whom it believes: key files and the grant, read and checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from msgspec import Struct

from edge.config import Settings
from edge.errors import BadConfig
from edge.inbox import Trust
from edge.journal import Identity
from protocol import grant
from protocol.card_keys import SiteKey
from protocol.configuration import parse
from protocol.errors import Malformed, ProtocolError
from protocol.signing import Ed25519Signer, P256Signer, VerifyingKey


class _SiteKeyFile(Struct, frozen=True, forbid_unknown_fields=True):
    """The file of a site key (TOML); ``secret`` in hex."""

    site: str
    slot: int
    secret: str


@dataclass(frozen=True, slots=True)
class Keys:
    """What the terminal holds and whom it believes; ``site`` opens cards with secret keys."""

    owner: Identity
    trust: Trust
    issuers: Mapping[bytes, VerifyingKey]
    reference: bytes
    site: SiteKey | None


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
    return Keys(owner, trust, issuers, _reference(settings), _site(settings))


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


def _site(settings: Settings) -> SiteKey | None:
    name, written = "keys.site", settings.config.keys.site
    if not written:
        return None
    try:
        file = parse(settings.read(name, written).decode(), _SiteKeyFile)
        key = SiteKey(file.site, bytes.fromhex(file.secret), file.slot)
    except (Malformed, ValueError) as error:
        raise BadConfig(f"{settings.file}: {name}: not the file of a site key") from error
    if key.site != settings.at.site:
        raise BadConfig(f"{settings.file}: {name}: it is the key of site {key.site}")
    return key
