"""Rule kind: points for every full amount of net price."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct, convert

from protocol.money import AMOUNT_MAX
from protocol.record import Code
from protocol.rules.basket import Basket
from protocol.rules.kind import Effect, RuleKind, Stage


class PointsPerSpend(Struct, frozen=True, forbid_unknown_fields=True):
    """``points`` for each full ``per`` minor units; ``tier`` empty means everybody."""

    points: Annotated[int, Meta(ge=1, le=10_000)]
    per: Annotated[int, Meta(ge=1, le=AMOUNT_MAX)]
    tier: Code = ""


def prepare(rule: str, settings: dict[str, Any]) -> Effect:
    """Counts full amounts of the whole basket: 199 at 1 per 100 earns 1."""
    spend = convert(settings, PointsPerSpend)

    def effect(basket: Basket) -> None:
        if spend.tier in ("", basket.tier):
            basket.earn(rule, "points_per_spend", basket.total // spend.per * spend.points)

    return effect


KIND = RuleKind(Stage.POINTS, prepare)
