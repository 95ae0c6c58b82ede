"""The chain's members and their cards: software cards, made by the real personalisation.

A card is laid on a reader, as at any card desk; its private key never leaves it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from drivers.errors import CardGone, ExchangeTimeout, ReaderLost
from drivers.reader import Reader, ReaderSettings
from drivers.readers.nfc import READER
from drivers.virtual.pn532 import Pn532Device
from protocol.card_keys import TransportKey
from provisioning.authority import Authority, init
from provisioning.cards import FAMILIES, CardDesk
from provisioning.cloud_api import CloudApi
from provisioning.demo.blanks import BLANKS, NUMBER, AnyCard
from provisioning.demo.plan import FORGED, MEMBER_CARDS, PURSE_START, STRANGER
from provisioning.errors import LoadTorn
from provisioning.loads import Loads

TENANT = "acme"
# What a tag's own message would lead a phone to; nobody has one here.
TAG_PAGE = "cloud.example/v1/sun"
# The card lies there already; the reader looks every few milliseconds.
PRESENT_S = 10.0
# A busy machine may keep the software reader from answering in its 0.1 s, as a loose cable would.
ATTEMPTS = 5
_KEY_BYTES = 16

Outcome = TypeVar("Outcome")


@dataclass(slots=True)
class HeldCard:
    """A card in somebody's pocket: at one reader at a time. ``member`` is empty for nobody's."""

    card: AnyCard
    reference: bytes
    member: str
    lock: threading.Lock = field(default_factory=threading.Lock)


class CardTable:
    """A reader and a pile of blank cards. Whatever is opened is closed by ``close``."""

    def __init__(self) -> None:
        self._transport = TransportKey(os.urandom(_KEY_BYTES))
        self._device = Pn532Device()
        self._reader: Reader | None = None

    def close(self) -> None:
        """Give the reader back."""
        if self._reader:
            self._reader.close()
        self._device.close()

    def make(
        self,
        authority: Authority,
        api: CloudApi | None,
        member: str,
        kind: str = "cpu",
        site: str = "",
    ) -> HeldCard:
        """Make one card of ``kind`` a member's, known at ``site`` if it can be at one alone."""
        card = BLANKS[kind](self._transport.secret)
        self._device.insert(card)
        reference = self._persistently(
            lambda: self._issue(self._desk(authority, api, site), kind, member)
        )
        if kind in FAMILIES and FAMILIES[kind].purse:
            self._persistently(
                lambda: self._desk(authority, api, "").load(PURSE_START, present_s=PRESENT_S)
            )
        self._device.remove()
        if self._reader:
            self._reader.wait_for_removal(PRESENT_S)
        return HeldCard(card, reference, member)

    def _persistently(self, act: Callable[[], Outcome]) -> Outcome:
        """Do it again, as a person would, when the reader fails in between."""
        for _ in range(ATTEMPTS - 1):
            try:
                return act()
            except (ReaderLost, CardGone, ExchangeTimeout, LoadTorn):
                self._drop_reader()
        return act()

    @staticmethod
    def _issue(desk: CardDesk, kind: str, member: str) -> bytes:
        if kind == NUMBER:
            return desk.register(member, present_s=PRESENT_S).reference
        return desk.personalise(kind, member, present_s=PRESENT_S)

    def _desk(self, authority: Authority, api: CloudApi | None, site: str) -> CardDesk:
        self._reader = self._reader or READER.open(ReaderSettings(path=f"tty:{self._device.path}"))
        sites = authority.site_keys()
        return CardDesk(
            reader=self._reader,
            tenant=TENANT,
            keys=authority.cards,
            sites=tuple(key for key in sites if site in (key.site, "")),
            loads=Loads(authority.folder / "loads"),
            cloud=api,
            page=TAG_PAGE,
            wall_s=lambda: int(time.time()),
            draw=os.urandom,
            now=time.monotonic,
            transport=self._transport,
        )

    def _drop_reader(self) -> None:
        if self._reader:
            self._reader.close()
        self._reader = None


def make_cards(authority: Authority, api: CloudApi, folder: Path) -> dict[str, HeldCard]:
    """Return every card of the day by name, issued, read back and registered."""
    forger = init(folder / "other-authority", TENANT, datetime.now(UTC))
    table = CardTable()
    try:
        cards = {
            name: table.make(
                authority, api, api.add_member(f"Member {name}"), carried.kind, carried.site
            )
            for name, carried in MEMBER_CARDS.items()
        }
        cards[STRANGER] = table.make(authority, None, "")
        cards[FORGED] = table.make(forger, None, "")
    finally:
        table.close()
    return cards
