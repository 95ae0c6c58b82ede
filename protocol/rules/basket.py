"""What is being bought while rules work on it."""

from __future__ import annotations

from dataclasses import dataclass, field

from protocol.rules.trace import WHOLE_BASKET, Step


@dataclass(slots=True)
class BasketLine:
    """One product: list and net price of the whole line in minor units."""

    sku: str
    quantity: int
    list_price: int
    net_price: int
    rules: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Basket:
    """Lines, and the points earned so far; changed only by methods that keep the trace."""

    tier: str
    lines: list[BasketLine]
    earned: int = 0
    trace: list[Step] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Net price of all lines in minor units."""
        return sum(line.net_price for line in self.lines)

    def reprice(self, rule: str, kind: str, index: int, net_price: int) -> None:
        """Set the net price of a line; a rule that changes nothing leaves no trace."""
        line = self.lines[index]
        if net_price != line.net_price:
            self.trace.append(Step(rule, kind, index, line.net_price, net_price))
            line.net_price = net_price
            line.rules.append(rule)

    def earn(self, rule: str, kind: str, points: int) -> None:
        """Add points."""
        if points:
            before = self.earned
            self.earned += points
            self.trace.append(Step(rule, kind, WHOLE_BASKET, before, self.earned))
