"""Checks a sale against the bundle that it names. Pure; results for equal baskets are kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from protocol.errors import ProtocolError
from protocol.record import Line, Record
from protocol.rules.bundle import Bundle
from protocol.rules.evaluate import Item, Pricing

# Baskets repeat: the kept results of a day of a small chain, about 30 MB.
RESULTS_KEPT = 1 << 16

PRICE_DIFFERS = "price_differs"
POINTS_DIFFER = "points_differ"
LINES_DIFFER = "lines_differ"
UNKNOWN_BUNDLE = "unknown_bundle"
UNPRICEABLE = "unpriceable"


class Finding(NamedTuple):
    """``flag`` empty = as the bundle says; ``gap`` = charged minus what the bundle says."""

    flag: str = ""
    gap: int = 0


class _Right(NamedTuple):
    lines: tuple[Line, ...]
    total: int
    earned: int


AGREES = Finding()
_Key = tuple[bytes, str, tuple[Item, ...]]


class Auditor:
    """``find`` returns the bundle of a digest, or None when nobody published it."""

    def __init__(self, find: Callable[[bytes], Bundle | None]) -> None:
        self._find = find
        self._pricings: dict[bytes, Pricing] = {}
        self._results: OrderedDict[_Key, _Right | None] = OrderedDict()

    def audit(self, record: Record) -> Finding:
        """Evaluate the basket of a sale again, by the same rules."""
        if record.bundle is None:
            return Finding(UNKNOWN_BUNDLE)
        digest = record.bundle.digest
        pricing = self._pricings.get(digest) or self._load(digest)
        if pricing is None:
            return Finding(UNKNOWN_BUNDLE)
        items = tuple([(line.sku, line.quantity) for line in record.lines])
        right = self._right(pricing, (digest, record.tier, items))
        if right is None:
            return Finding(UNPRICEABLE)
        charged = record.total
        if charged != right.total:
            return Finding(PRICE_DIFFERS, charged - right.total)
        if record.earned != right.earned:
            return Finding(POINTS_DIFFER)
        return AGREES if record.lines == right.lines else Finding(LINES_DIFFER)

    def _right(self, pricing: Pricing, key: _Key) -> _Right | None:
        results = self._results
        if key in results:
            results.move_to_end(key)
            return results[key]
        try:
            priced = pricing.price(key[2], key[1])
            right: _Right | None = _Right(priced.lines, priced.total, priced.earned)
        except ProtocolError:
            right = None
        results[key] = right
        if len(results) > RESULTS_KEPT:
            results.popitem(last=False)
        return right

    def _load(self, digest: bytes) -> Pricing | None:
        bundle = self._find(digest)
        if bundle is None:
            return None
        pricing = self._pricings[digest] = Pricing(bundle)
        return pricing
