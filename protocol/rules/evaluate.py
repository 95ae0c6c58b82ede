"""Prices a basket with a bundle. Order and stacking of rules live here and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import protocol.rules.kinds
from protocol.errors import BadBundle, ProtocolError, UnknownProduct
from protocol.membership.tiers import tier_at
from protocol.money import checked_amount, checked_quantity
from protocol.plugins import discover
from protocol.record import RULES_ON_LINE_MAX, Line
from protocol.rules.basket import Basket, BasketLine
from protocol.rules.bundle import Bundle
from protocol.rules.kind import Effect, RuleKind, Stage
from protocol.rules.trace import Step

KINDS = discover(protocol.rules.kinds, "KIND", RuleKind)

Item = tuple[str, int]  # sku, quantity


class Priced(NamedTuple):
    """The result for one basket; ``trace`` says why."""

    lines: tuple[Line, ...]
    total: int
    earned: int
    trace: tuple[Step, ...]


class Pricing:
    """A bundle made ready to price with. BadBundle when it contradicts itself."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._prices = {product.sku: product.price for product in bundle.products}
        self._effects = _prepared(bundle)
        _check_tables(bundle)

    def price(self, items: Sequence[Item], tier: str) -> Priced:
        """Price ``items`` for a member of ``tier``; UnknownProduct or BadAmount when it cannot."""
        basket = Basket(tier, [self._line(sku, quantity) for sku, quantity in items])
        for effect in self._effects:
            effect(basket)
        lines = tuple(
            Line(line.sku, line.quantity, line.list_price, line.net_price, tuple(line.rules))
            for line in basket.lines
        )
        total = checked_amount(basket.total)
        return Priced(lines, total, checked_amount(basket.earned), tuple(basket.trace))

    def tier(self, qualifying: int) -> str:
        """Tier that ``qualifying`` minor units of spend reach."""
        return tier_at(qualifying, self.bundle.tiers)

    def check_golden(self) -> None:
        """BadBundle unless every golden vector comes out as the author wrote it."""
        for number, golden in enumerate(self.bundle.golden, 1):
            priced = self.price(golden.basket, golden.tier)
            got = (priced.total, priced.earned)
            if got != (golden.total, golden.earned):
                raise BadBundle(f"golden vector {number}: {got}")

    def _line(self, sku: str, quantity: int) -> BasketLine:
        price = self._prices.get(sku)
        if price is None:
            raise UnknownProduct(sku[:40])
        amount = checked_amount(price * checked_quantity(quantity))
        return BasketLine(sku, quantity, amount, amount)


def _prepared(bundle: Bundle) -> list[Effect]:
    staged: list[tuple[Stage, int, Effect]] = []
    for place, rule in enumerate(bundle.rules):
        kind = KINDS.get(rule.kind)
        if kind is None:
            raise BadBundle(f"rule {rule.id}: unknown kind {rule.kind}")
        try:
            effect = kind.prepare(rule.id, rule.settings)
        except (ValueError, ProtocolError) as error:
            raise BadBundle(f"rule {rule.id}: {error}") from error
        staged.append((kind.stage, place, effect))
    if sum(stage is Stage.PRICE for stage, _, _ in staged) > RULES_ON_LINE_MAX:
        raise BadBundle(f"more than {RULES_ON_LINE_MAX} price rules")
    return [effect for _, _, effect in sorted(staged, key=lambda each: each[:2])]


def _check_tables(bundle: Bundle) -> None:
    for name, keys in (
        ("product", [product.sku for product in bundle.products]),
        ("rule", [rule.id for rule in bundle.rules]),
        ("tier", [tier.name for tier in bundle.tiers]),
    ):
        if len(set(keys)) != len(keys):
            raise BadBundle(f"a {name} stands twice")
    thresholds = [tier.from_spend for tier in bundle.tiers]
    if thresholds != sorted(set(thresholds)):
        raise BadBundle("tiers must rise")
