"""Who taps where, when and for what: the whole day drawn from one seed. Nothing is done here."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from provisioning.demo.catalogue import EVERYDAY, FEAST, HAMPER

TERMINALS = ("t-0001", "t-0002", "t-0003")
SITES = {"t-0001": "site-1", "t-0002": "site-1", "t-0003": "site-2"}
CUT_SITE = "site-2"
MEMBERS = 24
# What members carry: the travellers' cards are the first, the others in turn. At which sites a card
# is known, and whether it has contacts, decides where its member goes.
KINDS = (
    "desfire",
    "pboc_purse",
    "ntag424",
    "file_card",
    "cpu",
    "ultralight",
    "felica",
    "mifare_classic",
    "em4100",
    "uid_only",
    "qr_credential",
    "felica_standard",
)
ONE_SITE = frozenset(("ntag424", "ultralight", "felica"))
# Numbers that anybody can copy earn, where the till is paid; they never pay.
EARN_ONLY = frozenset(("mifare_classic", "felica_standard", "em4100", "uid_only"))
NO_CONTACTS = EARN_ONLY | {"ultralight", "felica"}
# Beside each reader is a scanner for phones; at one terminal it is a reader of 125 kHz tags.
PHONE, TAG, TAG_TERMINAL = "qr_credential", "em4100", "t-0003"
# A terminal takes a few codes of one phone in half a minute, as many as a person would show. A tag
# that is read twice within a second lies there still: it comes again in another part of the day.
HEARD_TAPS_MAX, HEARD_AGAIN = 3, 0.15
# On the purses of cards that have one, loaded at the desk; minor units.
PURSE_START = 5_000
# Cards that nobody here knows: a genuine one without a member, and one of another issuer.
STRANGER, FORGED = "stranger", "forged"
# Members who spend at the site that is cut off and elsewhere, more than they have.
TRAVELLERS = 2


class Carried(NamedTuple):
    """What a member carries; ``site`` is where alone it is known, empty for everywhere."""

    kind: str
    site: str = ""

    def goes_to(self, terminal: str, contacts: Collection[str]) -> bool:
        """Whether the card is read there; ``contacts`` are terminals with a contact reader."""
        if self.kind in (PHONE, TAG):
            return (self.kind == TAG) == (terminal == TAG_TERMINAL)
        felt = terminal not in contacts or self.kind not in NO_CONTACTS
        return felt and self.site in ("", SITES[terminal])


def _carried(place: int) -> Carried:
    if place < TRAVELLERS:
        return Carried("cpu")
    turn, at = divmod(place - TRAVELLERS, len(KINDS))
    kind = KINDS[at]
    sites = sorted(set(SITES.values()))
    return Carried(kind, sites[turn % len(sites)] if kind in ONE_SITE else "")


# Names of the cards that have a member, the travellers first.
MEMBER_CARDS = {f"m{place + 1:02d}": _carried(place) for place in range(MEMBERS)}

# The last third of the day, in parts of it.
CUT_FROM = 2 / 3
# Paying in fills the first part.
OPENING = 0.12
# A contact reader that is asked every 0.4 s takes a second for a customer.
SLOW_SHARE = 16
TOP_UPS = (10_000, 15_000, 20_000)

# What else happens at a terminal, in percent; the rest are purchases.
_MIX = (("balance", 7), ("feast", 5), ("void", 4), ("top_up", 8), (STRANGER, 2), (FORGED, 2))


@dataclass(frozen=True, slots=True)
class PlannedTap:
    """One tap at ``at`` (part of the day). ``order`` is the till's document, None for a look.

    ``voids``: the order that it takes back, which becomes a look when that was not approved.
    """

    at: float
    card: str
    name: str
    order: dict[str, Any] | None = None
    voids: str = ""


@dataclass(slots=True)
class _Counter:
    """The taps of one terminal so far."""

    terminal: str
    taps: list[PlannedTap] = field(default_factory=list)
    sold: list[tuple[str, str]] = field(default_factory=list)  # order name, card

    def add(
        self, at: float, card: str, order: dict[str, Any] | None = None, voids: str = ""
    ) -> None:
        name = f"{self.terminal}.{len(self.taps) + 1:04d}"
        self.taps.append(PlannedTap(at, card, name, order, voids))
        if order is not None and order["kind"] == "sale":
            self.sold.append((name, card))

    def expects(self, card: str, at: float, contacts: Collection[str]) -> bool:
        """Whether this member may come here at ``at``."""
        carried = MEMBER_CARDS[card]
        if carried.kind in (PHONE, TAG):
            seen = [tap.at for tap in self.taps if tap.card == card]
            if len(seen) >= HEARD_TAPS_MAX or (seen and at - seen[-1] < HEARD_AGAIN):
                return False
        return carried.goes_to(self.terminal, contacts)

    @property
    def last_card(self) -> str:
        return self.taps[-1].card if self.taps else ""


def draw(seed: int, taps: int, slow: Collection[str] = ()) -> dict[str, list[PlannedTap]]:
    """Terminal -> its taps in order of time; ``taps`` altogether, at least 4 a member.

    ``slow`` terminals take one customer where the others take SLOW_SHARE.
    """
    random = Random(seed)
    counters = [_Counter(terminal) for terminal in TERMINALS]
    quick = [counter for counter in counters if counter.terminal not in slow]
    turns = [*(quick * SLOW_SHARE), *(each for each in counters if each.terminal in slow)]
    cards = tuple(MEMBER_CARDS)
    for place, card in enumerate(cards):
        carried = MEMBER_CARDS[card]
        at_home = [each for each in quick if carried.goes_to(each.terminal, slow)]
        counter = at_home[place % len(at_home)]
        amount = TOP_UPS[0] if place < TRAVELLERS else random.choice(TOP_UPS)
        order = {"kind": "top_up", "amount": amount, "method": "cash"}
        counter.add(OPENING * place / len(cards), card, order)
    meetings = _overspending(counters, cards[:TRAVELLERS])
    rest = taps - len(cards) - len(meetings)
    for number in range(rest):
        at = OPENING + (1 - OPENING) * number / rest
        while meetings and meetings[0][0] <= at:
            _, counter, card, order = meetings.pop(0)
            counter.add(at, card, order)
        counter = turns[number % len(turns)]
        guests = [card for card in cards[TRAVELLERS:] if counter.expects(card, at, slow)]
        _anything(random, counter, at, guests)
    for _, counter, card, order in meetings:
        counter.add(1.0, card, order)
    return {counter.terminal: counter.taps for counter in counters}


def _overspending(
    counters: list[_Counter], travellers: tuple[str, ...]
) -> list[tuple[float, _Counter, str, dict[str, Any]]]:
    """Each traveller buys the same large thing on both sides of the cut line."""
    order = _sale({HAMPER: 1})
    cut = next(each for each in counters if SITES[each.terminal] == CUT_SITE)
    found = []
    for place, card in enumerate(travellers):
        start = CUT_FROM + 0.05 + 0.05 * place
        found += [(start, cut, card, order), (start + 0.12, counters[place], card, order)]
    return sorted(found, key=lambda each: each[0])


def _anything(random: Random, counter: _Counter, at: float, cards: Sequence[str]) -> None:
    """One everyday tap; no card twice in a row, as a reader sees no card come that stays."""
    card = random.choice([each for each in cards if each != counter.last_card])
    kinds = [kind for kind, _ in _MIX]
    weights = [weight for _, weight in _MIX]
    [kind] = random.choices([*kinds, "sale"], [*weights, 100 - sum(weights)])
    if kind in (STRANGER, FORGED) and counter.last_card != kind:
        counter.add(at, kind, _sale(_basket(random)))
    elif kind == "balance":
        counter.add(at, card)
    elif kind == "feast":
        counter.add(at, card, _sale({FEAST: 1}))
    elif kind == "top_up":
        amount = random.choice(TOP_UPS)
        counter.add(at, card, {"kind": "top_up", "amount": amount, "method": "cash"})
    elif kind == "void" and (sold := [each for each in counter.sold if each[1] == card]):
        counter.add(at, card, voids=sold[-1][0])
        counter.sold.remove(sold[-1])
    else:
        paid = {"method": "cash"} if MEMBER_CARDS[card].kind in EARN_ONLY else {}
        counter.add(at, card, _sale(_basket(random)) | paid)


def _basket(random: Random) -> dict[str, int]:
    skus = random.sample(EVERYDAY, random.choice((1, 1, 2)))
    return {sku: random.choice((1, 1, 1, 2)) for sku in skus}


def _sale(basket: dict[str, int]) -> dict[str, Any]:
    items = [{"sku": sku, "quantity": quantity} for sku, quantity in basket.items()]
    return {"kind": "sale", "items": items}
