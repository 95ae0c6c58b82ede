"""What a card family is to the card desk: how its cards are written, and loaded if they hold money.

A family is one file in provisioning/personalisations. What is said to the card is the drivers'.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Protocol

from drivers.apdu import Outcome, Steps
from drivers.purse import Fate
from drivers.reader import Presented, Technology
from protocol.card_keys import SITE_SLOTS, SiteKey, TransportKey
from provisioning.authority import CardKeys

# Five years: a card wears out before.
VALID_DAYS = 5 * 365
_DAY_S = 86_400

# Has what it is given on disk when it returns.
Note = Callable[[bytes], None]


class Bench(Protocol):
    """A card in front of a reader. Each call raises the DriverError with which it failed."""

    @property
    def presented(self) -> Presented:
        """The card as the reader found it."""

    def hold(self, dialogue: Steps[Outcome]) -> Outcome:
        """Return what a dialogue with an APDU card returns."""

    def hold_frames(self, dialogue: Generator[bytes, bytes, Outcome]) -> Outcome:
        """The same with a card that takes frames."""

    def again(self) -> None:
        """Select the card anew, as after taking it away and putting it back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a card shall become. ``wall_s``: seconds since 1970; ``draw(n)`` gives random bytes.

    ``sites``: those that shall know the card, at most as many as its family holds keys of.
    ``transport`` opens cards of a family that is delivered under a key; ``page`` is HOST/PATH of
    the page that a tag's own message leads a phone to. ``lrp``: into LRP mode, for good.
    """

    keys: CardKeys
    sites: tuple[SiteKey, ...]
    transport: TransportKey
    tenant: str
    card_type: str
    page: str
    wall_s: int
    draw: Callable[[int], bytes]
    lrp: bool = False

    @property
    def day(self) -> int:
        """Today, counted from 1970-01-01 UTC."""
        return self.wall_s // _DAY_S

    @property
    def expires_day(self) -> int:
        """The last day of a card that is issued today."""
        return self.day + VALID_DAYS


@dataclass(frozen=True, slots=True)
class Purse:
    """How value is put on a card of a family.

    ``load(bench, order, amount, note)`` notes the intent before the card is told of it; ValueError
    for an amount that the purse cannot take, and the card was told nothing.
    ``settle(bench, order, intent)``: what became of a load that broke off; ValueError for an
    intent that cannot be read. Amounts in minor units.
    """

    load: Callable[[Bench, Order, int, Note], None]
    settle: Callable[[Bench, Order, bytes], Fate]


@dataclass(frozen=True, slots=True)
class Personalisation:
    """One family. ``write`` raises CardIssued for a finished card, which then is as it was.

    A card torn away anywhere is written again by the same call. ``sites``: of how many a card holds
    keys. ``transport``: whether cards only open with their delivery's transport key. ``number``:
    that of a written card from which its keys come, where the cloud checks what it proves.
    ``lrp``: whether its cards can leave AES for LRP mode.
    """

    family: str
    write: Callable[[Bench, Order], object]
    technology: Technology = Technology.APDU
    sites: int = SITE_SLOTS
    transport: bool = False
    purse: Purse | None = None
    number: Callable[[Bench, Order], bytes] | None = None
    lrp: bool = False
