"""What the chain sells: the prices of the morning, the new ones, and the forms they travel in."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from protocol.membership.tiers import Tier
from protocol.risk.limits import OfflineLimits
from protocol.rules.bundle import Bundle, Golden, Product, Rule
from protocol.rules.evaluate import Pricing

CURRENCY = "CNY"
# A basket that no card of the day can pay, and one that is most of what a card starts with.
FEAST, HAMPER = "feast", "hamper"

_MENU = (
    Product("coffee", 1_800, "咖啡", "Coffee"),
    Product("tea", 1_200, "茶", "Tea"),
    Product("noodles", 2_600, "牛肉面", "Beef noodles"),
    Product("dumplings", 2_200, "饺子", "Dumplings"),
    Product("cake", 1_500, "蛋糕", "Cake"),
    Product(HAMPER, 8_000, "礼盒", "Hamper"),
    Product(FEAST, 900_000, "宴席", "Banquet"),
)
# What people buy every day.
EVERYDAY = tuple(product.sku for product in _MENU[:5])
_DEARER = {"coffee": 1_950, "noodles": 2_800, "tea": 1_150}
_RULES = (
    Rule("tea-for-gold", "fixed_price", {"sku": "tea", "price": 1_000, "tier": "gold"}),
    Rule("silver-5", "percent_off", {"basis_points": 500, "tier": "silver"}),
    Rule("gold-10", "percent_off", {"basis_points": 1_000, "tier": "gold"}),
    Rule("points", "points_per_spend", {"points": 1, "per": 100}),
)
_TIERS = (Tier("silver", 10_000), Tier("gold", 30_000))
_VECTORS = (
    ("", (("coffee", 2), ("cake", 1))),
    ("silver", (("noodles", 1), ("tea", 1))),
    ("gold", (("tea", 3),)),
)


def morning(tenant: str, activate_ms: int) -> Bundle:
    """The prices that the day begins with."""
    return _bundle(tenant, 1, activate_ms, _MENU)


def raised(tenant: str, activate_ms: int) -> Bundle:
    """The prices that become effective while taps go on."""
    menu = tuple(
        structs.replace(product, price=_DEARER.get(product.sku, product.price)) for product in _MENU
    )
    return _bundle(tenant, 2, activate_ms, menu)


def document(bundle: Bundle) -> dict[str, Any]:
    """The bundle as the cloud's API takes it."""
    return {
        "number": bundle.number,
        "activate_ms": bundle.activate_ms,
        "currency": bundle.currency,
        "products": [structs.asdict(product) for product in bundle.products],
        "rules": [structs.asdict(rule) for rule in bundle.rules],
        "tiers": [structs.asdict(tier) for tier in bundle.tiers],
        "limits": structs.asdict(bundle.limits),
        "golden": [
            structs.asdict(golden)
            | {"basket": [{"sku": sku, "quantity": number} for sku, number in golden.basket]}
            for golden in bundle.golden
        ],
    }


def _bundle(tenant: str, number: int, activate_ms: int, menu: tuple[Product, ...]) -> Bundle:
    bundle = Bundle(
        tenant=tenant,
        number=number,
        activate_ms=activate_ms,
        currency=CURRENCY,
        products=menu,
        rules=_RULES,
        tiers=_TIERS,
        limits=OfflineLimits(),
    )
    return structs.replace(bundle, golden=_golden(bundle))


def _golden(bundle: Bundle) -> tuple[Golden, ...]:
    """What every device must come to as well before it arms the bundle."""
    pricing = Pricing(bundle)
    vectors = []
    for tier, basket in _VECTORS:
        priced = pricing.price(basket, tier)
        vectors.append(Golden(tier, basket, priced.total, priced.earned))
    return tuple(vectors)
