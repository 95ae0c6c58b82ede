"""How amounts of a currency are written, on a page and on paper."""

from __future__ import annotations

from msgspec import Struct

# Currency -> symbol and decimal places; others show their code and two places.
_CURRENCIES = {
    "CNY": ("¥", 2),
    "EUR": ("€", 2),
    "GBP": ("£", 2),
    "HKD": ("HK$", 2),
    "JPY": ("¥", 0),
}


class Currency(Struct, frozen=True):
    """How amounts are written; the page adds up a basket with it."""

    symbol: str
    places: int

    def show(self, amount: int) -> str:
        """Write minor units: 285000 -> ¥2,850.00."""
        sign, unit = "−" if amount < 0 else "", 10**self.places
        whole, part = divmod(abs(amount), unit)
        fraction = f".{part:0{self.places}d}" if self.places else ""
        return f"{sign}{self.symbol}{whole:,}{fraction}"


def currency(code: str) -> Currency:
    """How amounts of the currency with this ISO 4217 code are written."""
    return Currency(*_CURRENCIES.get(code, (f"{code} ".lstrip(), 2)))
