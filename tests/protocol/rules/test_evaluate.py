"""Bundles and their evaluation: worked prices, order of stages, and bundles that contradict."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from protocol.errors import BadAmount, BadBundle, BadSignature, ProtocolError, UnknownProduct
from protocol.membership.tiers import Tier
from protocol.rules.bundle import Bundle, Golden, Product, Rule, accept, issue
from protocol.rules.evaluate import Pricing
from tests.protocol.world import CLOUD_KEY, CLOUD_KEYS, TERMINAL_KEY

BUNDLE = Bundle(
    tenant="acme",
    number=7,
    activate_ms=1_790_000_000_000,
    currency="CNY",
    products=(Product("coffee", 2_800, "咖啡", "Coffee"), Product("bun", 799, "包子", "Bun")),
    rules=(
        Rule("points", "points_per_spend", {"points": 1, "per": 100}),
        Rule("gold-coffee", "fixed_price", {"sku": "coffee", "price": 2_500, "tier": "gold"}),
        Rule("gold-10", "percent_off", {"basis_points": 1_000, "tier": "gold"}),
    ),
    tiers=(Tier("silver", 10_000), Tier("gold", 50_000)),
    golden=(Golden("gold", (("coffee", 2), ("bun", 1)), 5_219, 52),),
)


def test_a_worked_basket() -> None:
    """2 x 25.00 less 10 % = 45.00; 7.99 less 10 % = 7.191, rounded down to 7.19; points last."""
    priced = Pricing(BUNDLE).price([("coffee", 2), ("bun", 1)], "gold")
    assert [line.net_price for line in priced.lines] == [4_500, 719]
    assert [line.rules for line in priced.lines] == [("gold-coffee", "gold-10"), ("gold-10",)]
    assert (priced.total, priced.earned) == (5_219, 52)
    assert [step.rule for step in priced.trace] == ["gold-coffee", "gold-10", "gold-10", "points"]


def test_another_tier_pays_the_list_price() -> None:
    assert Pricing(BUNDLE).price([("coffee", 2), ("bun", 1)], "silver").total == 6_399


def test_golden_vectors_guard_the_bundle() -> None:
    Pricing(BUNDLE).check_golden()
    wrong = structs.replace(BUNDLE, golden=(Golden("", (("bun", 1),), 800, 7),))
    with pytest.raises(BadBundle, match="golden vector 1"):
        Pricing(wrong).check_golden()


@pytest.mark.parametrize(
    ("items", "error"),
    [
        ([("tea", 1)], UnknownProduct),
        ([("bun", 0)], BadAmount),
        ([("bun", -1)], BadAmount),
        ([("bun", 10_001)], BadAmount),
        ([("bun", 10_000)] * 200, BadAmount),
    ],
)
def test_a_basket_that_cannot_be_priced(
    items: list[tuple[str, int]], error: type[Exception]
) -> None:
    with pytest.raises(error):
        Pricing(BUNDLE).price(items, "")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"products": BUNDLE.products * 2}, "product"),
        ({"rules": BUNDLE.rules * 2}, "rule"),
        ({"rules": (Rule("x", "no_such_kind", {}),)}, "no_such_kind"),
        (
            {"rules": tuple(Rule(f"r{n}", "percent_off", {"basis_points": 1}) for n in range(17))},
            "price rules",
        ),
        ({"tiers": (Tier("a", 5), Tier("a", 6))}, "tier"),
        ({"tiers": (Tier("a", 5), Tier("b", 5))}, "rise"),
    ],
)
def test_a_bundle_that_contradicts_itself(change: dict[str, Any], word: str) -> None:
    with pytest.raises(BadBundle, match=word):
        Pricing(structs.replace(BUNDLE, **change))


def test_a_bundle_travels_signed() -> None:
    published = issue(BUNDLE, CLOUD_KEY)
    assert accept(published.data, CLOUD_KEYS) == published
    with pytest.raises(BadSignature):
        accept(issue(BUNDLE, TERMINAL_KEY).data, CLOUD_KEYS)
    for length in range(0, len(published.data), 7):
        with pytest.raises(ProtocolError):
            accept(published.data[:length], CLOUD_KEYS)
