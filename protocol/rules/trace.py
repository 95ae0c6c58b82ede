"""Why a price or number of points is what it is: a step for each rule that changed something."""

from __future__ import annotations

from typing import NamedTuple

WHOLE_BASKET = -1


class Step(NamedTuple):
    """``rule`` changed ``line`` (or WHOLE_BASKET) from ``before`` to ``after``."""

    rule: str
    kind: str
    line: int
    before: int
    after: int
