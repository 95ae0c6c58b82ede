"""What a bundle is before and after it is published. Pure."""

from __future__ import annotations

from typing import NamedTuple

from protocol.membership.tiers import Tier
from protocol.risk.limits import OfflineLimits
from protocol.rules.bundle import Golden, Product, Rule


class Draft(NamedTuple):
    """What an author writes; number None takes the next one."""

    number: int | None
    activate_ms: int
    currency: str
    products: tuple[Product, ...]
    rules: tuple[Rule, ...] = ()
    tiers: tuple[Tier, ...] = ()
    limits: OfflineLimits = OfflineLimits()
    golden: tuple[Golden, ...] = ()


class Release(NamedTuple):
    """A published bundle: ``data`` are the signed bytes, ``digest`` the SHA-256 of the payload."""

    number: int
    digest: bytes
    data: bytes
    activate_ms: int
    published_ms: int
    author: str
