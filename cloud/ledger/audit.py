"""Checks a sale against the bundle that it names. Pure; results for equal sales are kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from protocol.errors import ProtocolError
from protocol.record import Line, Record
from protocol.rules.bundle import Bundle
from protocol.rules.evaluate import Pricing

# Small baskets repeat, and to look one up takes a third of the time of pricing it. The largest ones
# that a terminal could send, of so few lines, take 25 MB; usual ones take 3.
RESULTS_KEPT = 1 << 12
LINES_KEPT_MAX = 3
# Price lists that records name now; an older one is read again.
PRICINGS_KEPT = 8

PRICE_DIFFERS = "price_differs"
POINTS_DIFFER = "points_differ"
LINES_DIFFER = "lines_differ"
UNKNOWN_BUNDLE = "unknown_bundle"
UNPRICEABLE = "unpriceable"


class Finding(NamedTuple):
    """``flag`` empty = as the bundle says; ``gap`` = charged minus what the bundle says.

    ``confirmed`` is whether the bundle gives a member at least as much as the sale does.
    """

    flag: str = ""
    gap: int = 0
    confirmed: bool = True


AGREES = Finding()


class Auditor:
    """``find`` returns the bundle of a digest, or None when nobody published it."""

    def __init__(self, find: Callable[[bytes], Bundle | None]) -> None:
        self._find = find
        self._pricings: dict[bytes, Pricing] = {}
        self._kept = lru_cache(maxsize=RESULTS_KEPT)(self._evaluate)

    def audit(self, record: Record, charged: int) -> Finding:
        """Evaluate the basket of a sale again, by the same rules; ``charged`` is its total."""
        if record.bundle is None:
            return Finding(UNKNOWN_BUNDLE, confirmed=False)
        digest = record.bundle.digest
        if digest not in self._pricings and not self._load(digest):
            return Finding(UNKNOWN_BUNDLE, confirmed=False)
        price = self._kept if len(record.lines) <= LINES_KEPT_MAX else self._evaluate
        return price(digest, record.tier, record.lines, charged, record.earned)

    def _evaluate(
        self, digest: bytes, tier: str, lines: tuple[Line, ...], charged: int, earned: int
    ) -> Finding:
        try:
            right = self._pricings[digest].price(
                [(line.sku, line.quantity) for line in lines], tier
            )
        except ProtocolError:
            return Finding(UNPRICEABLE, confirmed=False)
        confirmed = charged <= right.total and earned <= right.earned
        if charged != right.total:
            return Finding(PRICE_DIFFERS, charged - right.total, confirmed)
        if earned != right.earned:
            return Finding(POINTS_DIFFER, confirmed=confirmed)
        return AGREES if lines == right.lines else Finding(LINES_DIFFER)

    def _load(self, digest: bytes) -> bool:
        bundle = self._find(digest)
        if bundle is None:
            return False
        if len(self._pricings) == PRICINGS_KEPT:
            del self._pricings[next(iter(self._pricings))]
        self._pricings[digest] = Pricing(bundle)
        return True
