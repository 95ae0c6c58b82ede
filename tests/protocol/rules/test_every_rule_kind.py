"""Laws that hold for each discovered rule kind; a new kind needs one example here."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import BadBundle
from protocol.membership.tiers import Tier
from protocol.rules.bundle import Bundle, Product, Rule
from protocol.rules.evaluate import KINDS, Item, Pricing
from protocol.rules.kind import Stage

# One working setting for each kind; a kind without one fails the first test by name.
EXAMPLES: dict[str, dict[str, Any]] = {
    "fixed_price": {"sku": "coffee", "price": 2_000, "tier": "gold"},
    "percent_off": {"basis_points": 1_250, "tier": "gold"},
    "points_per_spend": {"points": 3, "per": 700},
}
PRODUCTS = (
    Product("coffee", 2_800, "咖啡", "Coffee"),
    Product("bun", 799, "包子", "Bun"),
    Product("free", 0, "水", "Water"),
)
BASKETS = st.lists(
    st.tuples(st.sampled_from(["coffee", "bun", "free"]), st.integers(1, 20)),
    min_size=1,
    max_size=6,
)


def _pricing(rules: tuple[Rule, ...]) -> Pricing:
    return Pricing(
        Bundle(
            tenant="acme",
            number=1,
            activate_ms=0,
            currency="CNY",
            products=PRODUCTS,
            rules=rules,
            tiers=(Tier("silver", 10_000), Tier("gold", 50_000)),
        )
    )


def test_every_kind_has_an_example() -> None:
    assert set(EXAMPLES) == set(KINDS)


@pytest.mark.parametrize("name", KINDS)
@given(basket=BASKETS, tier=st.sampled_from(["", "silver", "gold"]))
def test_laws_of_a_kind(name: str, basket: list[Item], tier: str) -> None:
    """Never below zero, never above the list price, the same twice, and the trace tells all."""
    pricing = _pricing((Rule("r1", name, EXAMPLES[name]),))
    plain, priced = _pricing(()).price(basket, tier), pricing.price(basket, tier)
    assert priced == pricing.price(basket, tier)
    for line, without in zip(priced.lines, plain.lines, strict=True):
        assert 0 <= line.net_price <= line.list_price == without.list_price
        assert line.rules == (("r1",) if line.net_price != without.net_price else ())
    assert priced.total == sum(line.net_price for line in priced.lines)
    if KINDS[name].stage is Stage.PRICE:
        assert priced.earned == 0
        steps = {(step.line, step.before, step.after) for step in priced.trace}
        assert steps == {
            (place, without.net_price, line.net_price)
            for place, (line, without) in enumerate(zip(priced.lines, plain.lines, strict=True))
            if line.net_price != without.net_price
        }
    else:
        assert priced.total == plain.total
        assert sum(step.after - step.before for step in priced.trace) == priced.earned


@pytest.mark.parametrize("name", KINDS)
def test_settings_that_are_wrong_are_refused_by_rule(name: str) -> None:
    for settings in ({}, EXAMPLES[name] | {"colour": "red"}, dict.fromkeys(EXAMPLES[name], -1)):
        with pytest.raises(BadBundle, match="r1"):
            _pricing((Rule("r1", name, settings),))
