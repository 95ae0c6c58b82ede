"""Rule kind: members of a tier get a percentage off every line."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct, convert

from protocol.money import WHOLE_BP, floor_share
from protocol.record import Code
from protocol.rules.basket import Basket
from protocol.rules.kind import Effect, RuleKind, Stage


class PercentOff(Struct, frozen=True, forbid_unknown_fields=True):
    """``basis_points`` off the net price; ``tier`` empty means everybody."""

    basis_points: Annotated[int, Meta(ge=1, le=WHOLE_BP)]
    tier: Code = ""


def prepare(rule: str, settings: dict[str, Any]) -> Effect:
    """The price that is left is rounded down to a minor unit, in the member's favour."""
    off = convert(settings, PercentOff)
    left = WHOLE_BP - off.basis_points

    def effect(basket: Basket) -> None:
        if off.tier in ("", basket.tier):
            for index, line in enumerate(basket.lines):
                price = floor_share(line.net_price, left, WHOLE_BP)
                basket.reprice(rule, "percent_off", index, price)

    return effect


KIND = RuleKind(Stage.PRICE, prepare)
