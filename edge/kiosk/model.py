"""The shapes of what the page shows: a View, and what it is made of. The page reads it as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from edge.currency import Currency
from edge.tap_flow import Phase


class Said(Struct, frozen=True):
    """One text in both languages."""

    zh: str
    en: str


Texts = Mapping[str, Said]


class Tone(StrEnum):
    """The sound and colour of a screen; its picture and its words say the same."""

    CALM = "calm"
    YES = "yes"
    NO = "no"


class Row(Struct, frozen=True):
    """A fact with its name."""

    label: Said
    value: Said


class Panel(Struct, frozen=True, kw_only=True):
    """What is said now. ``picture`` names a drawing of the page; what is empty is not shown.

    ``top_up``: the person can get on by paying in first.
    """

    tone: Tone = Tone.CALM
    picture: str
    title: Said
    text: Said | None = None
    todo: Said | None = None
    note: Said | None = None
    amount: str = ""
    rows: tuple[Row, ...] = ()
    top_up: bool = False


class Tile(Struct, frozen=True):
    """A product that can be chosen; ``price`` in minor units."""

    sku: str
    name: Said
    price: int
    shown: str


class TopUp(Struct, frozen=True):
    """An amount that can be paid in, in minor units."""

    amount: int
    shown: str


class Shop(Struct, frozen=True, kw_only=True):
    """What can be chosen, by the bundle in force."""

    bundle: int
    currency: Currency
    tiles: tuple[Tile, ...]
    top_ups: tuple[TopUp, ...]


class View(Struct, frozen=True, kw_only=True):
    """One state of the page.

    ``own``: the page placed the order that waits, and may cancel it. ``news`` differs for each
    result, so that each sounds once. ``receipt``: the order whose receipt can be printed now, empty
    where none can. ``lasts_s``: how long the state lasts by itself, 0 for ever.
    """

    revision: int
    terminal: str
    phase: Phase
    panel: Panel
    shop: Shop
    notice: Said | None
    offline: Said | None
    order: str
    own: bool
    news: str
    receipt: str
    lasts_s: float
