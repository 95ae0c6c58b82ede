"""Rule kind: members of a tier pay a fixed price for a product."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, convert

from protocol.record import Amount, Code
from protocol.rules.basket import Basket
from protocol.rules.kind import Effect, RuleKind, Stage


class FixedPrice(Struct, frozen=True, forbid_unknown_fields=True):
    """``price`` in minor units for one piece; ``tier`` empty means everybody."""

    sku: Code
    price: Amount
    tier: Code = ""


def prepare(rule: str, settings: dict[str, Any]) -> Effect:
    """Never raises a price: whichever is lower stays."""
    fixed = convert(settings, FixedPrice)

    def effect(basket: Basket) -> None:
        if fixed.tier in ("", basket.tier):
            for index, line in enumerate(basket.lines):
                if line.sku == fixed.sku:
                    price = min(line.net_price, fixed.price * line.quantity)
                    basket.reprice(rule, "fixed_price", index, price)

    return effect


KIND = RuleKind(Stage.PRICE, prepare)
