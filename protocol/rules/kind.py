"""What a rule kind is: settings that check themselves, and one pure effect on a basket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from protocol.rules.basket import Basket

Effect = Callable[[Basket], None]


class Stage(IntEnum):
    """Stages run in this order; inside a stage rules run in the order of the bundle."""

    PRICE = 1
    POINTS = 2


@dataclass(frozen=True, slots=True)
class RuleKind:
    """``prepare(rule id, settings)`` returns the effect; ValueError says what is wrong."""

    stage: Stage
    prepare: Callable[[str, dict[str, Any]], Effect]
