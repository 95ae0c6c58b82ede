"""A price and rule bundle: what a terminal needs to price alone. Its bytes are its identity.

A bundle travels as a COSE_Sign1 (purpose ``tl/bundle``); its digest is the SHA-256 of the payload.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any, NamedTuple

from msgspec import Meta, Struct

from protocol.codec import decode, encode
from protocol.membership.tiers import Tier
from protocol.record import Amount, Code, Count, Text
from protocol.risk.limits import OfflineLimits
from protocol.signing import Purpose, SigningKey, VerifyingKey, open_signed, sign


class Product(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A product with its list price in minor units and its names."""

    sku: Annotated[str, Meta(min_length=1, max_length=40, pattern=r"\A[a-z0-9_.-]+\Z")]
    price: Amount
    name_zh: Text
    name_en: Text


class Rule(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """``kind`` is a file in protocol/rules/kinds; ``id`` stands in every line it changes."""

    id: Annotated[str, Meta(min_length=1, max_length=40, pattern=r"\A[a-z0-9_.-]+\Z")]
    kind: Code
    settings: dict[str, Any]


class Golden(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A basket with its right result: checked on every device before the bundle is armed."""

    tier: Code
    basket: tuple[tuple[Code, int], ...]
    total: Amount
    earned: Amount


class Bundle(Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """In force from ``activate_ms`` (UTC, ms since 1970) until a higher version is."""

    version: int = 1
    tenant: Code
    channel: Code = "prices"
    number: Annotated[int, Meta(ge=1, lt=1 << 53)]
    activate_ms: Count
    currency: Annotated[str, Meta(pattern=r"\A[A-Z]{3}\Z")]
    products: tuple[Product, ...]
    rules: tuple[Rule, ...] = ()
    tiers: tuple[Tier, ...] = ()
    limits: OfflineLimits = OfflineLimits()
    golden: tuple[Golden, ...] = ()


class Published(NamedTuple):
    """A bundle with its signed bytes and the digest of its payload."""

    bundle: Bundle
    data: bytes
    digest: bytes


def issue(bundle: Bundle, key: SigningKey) -> Published:
    """Sign ``bundle``."""
    payload = encode(bundle)
    return Published(bundle, sign(payload, Purpose.BUNDLE, key), sha256(payload).digest())


def accept(data: bytes, keys: Mapping[bytes, VerifyingKey]) -> Published:
    """Return the bundle in ``data`` when one of ``keys`` signed it."""
    payload = open_signed(data, Purpose.BUNDLE, keys)
    return Published(decode(payload, Bundle), data, sha256(payload).digest())
