"""How values stand on a page: money, points, times, ages, and names for codes. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from markupsafe import Markup, escape

Translate = Callable[[str], str]

# ISO 4217: currencies whose minor unit is the unit itself; all others here have hundredths.
WHOLE_UNITS = frozenset(("JPY", "KRW", "VND", "CLP", "ISK"))
_SIGNS = {"CNY": "¥", "USD": "$", "EUR": "€", "GBP": "£", "HKD": "HK$", "TWD": "NT$"}
POINTS_UNIT = "PT"
STEPS = (
    (86_400, "%(count)s d"),
    (3_600, "%(count)s h"),
    (60, "%(count)s min"),
    (1, "%(count)s s"),
)
MINUS = "−"
_CALENDAR_ENDS_MS = int(datetime.max.replace(tzinfo=UTC).timestamp()) * 1000


def money(amount: int, unit: str) -> str:
    """An amount in minor units with its sign of currency: 128.50 yuan is ¥128.50."""
    if unit == POINTS_UNIT:
        return number(amount)
    sign = MINUS if amount < 0 else ""
    mark = _SIGNS.get(unit, f"{unit} ")
    if unit in WHOLE_UNITS:
        return f"{sign}{mark}{abs(amount):,}"
    whole, part = divmod(abs(amount), 100)
    return f"{sign}{mark}{whole:,}.{part:02}"


def change(amount: int, unit: str) -> str:
    """As money, with a plus for what came in."""
    return f"+{money(amount, unit)}" if amount > 0 else money(amount, unit)


def number(value: int) -> str:
    """A whole number with groups of three."""
    return f"{MINUS if value < 0 else ''}{abs(value):,}"


def moment(wall_ms: int) -> Markup:
    """A point in time in UTC, which the page's script shows in the reader's own zone.

    A terminal's clock may claim any year; one that no calendar has stands as what was claimed.
    """
    if not wall_ms:
        return Markup('<span class="none">–</span>')
    if not 0 < wall_ms < _CALENDAR_ENDS_MS:
        return Markup('<span class="none">{} ms</span>').format(number(wall_ms))
    at = datetime.fromtimestamp(wall_ms / 1000, UTC)
    machine = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Markup('<time datetime="{}">{} UTC</time>').format(machine, f"{at:%Y-%m-%d %H:%M:%S}")


def age(seconds: int, translate: Translate) -> str:
    """A span of time in its largest whole unit."""
    for step, text in STEPS:
        if seconds >= step:
            return translate(text) % {"count": seconds // step}
    return translate(STEPS[-1][1]) % {"count": 0}


def fingerprint(text: str) -> Markup:
    """A hash or key in groups of eight, so that two can be compared by eye."""
    groups = [text[at : at + 8] for at in range(0, len(text), 8)]
    shown = Markup("<wbr>").join(escape(group) for group in groups)
    return Markup('<code class="hash">{}</code>').format(shown)
