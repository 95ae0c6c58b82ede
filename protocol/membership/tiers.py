"""Which tier an amount of qualifying spend reaches."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from protocol.record import Code, Count


class Tier(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A tier is reached at ``from_spend`` minor units of qualifying spend."""

    name: Code
    from_spend: Count


def tier_at(qualifying: int, table: Sequence[Tier]) -> str:
    """Name of the highest tier reached; ``table`` is ascending. Empty when none is reached."""
    reached = ""
    for tier in table:
        if qualifying < tier.from_spend:
            break
        reached = tier.name
    return reached
