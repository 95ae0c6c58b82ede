"""The chain's members and what they carry: software cards, tags and phones, really issued.

A card is laid on a reader, as at any card desk; its private key never leaves it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from drivers.errors import CardGone, ExchangeTimeout, ReaderLost
from drivers.reader import Reader, ReaderSettings
from drivers.readers import nfc, serial_tag
from drivers.virtual.cards.em4100 import Em4100Tag
from drivers.virtual.pn532 import Pn532Device
from drivers.virtual.serial_line import SerialLine
from protocol.card_keys import TransportKey
from provisioning.authority import Authority, init
from provisioning.cards import FAMILIES, NO_TRANSPORT_KEY, CardDesk
from provisioning.cloud_api import CloudApi
from provisioning.demo.blanks import BLANKS, NUMBERS, PURSES, Held
from provisioning.demo.phone import MemberPhone
from provisioning.demo.plan import FORGED, MEMBER_CARDS, PHONE, PURSE_START, STRANGER, TAG, Carried
from provisioning.demo.slots import Second
from provisioning.errors import LoadTorn
from provisioning.loads import Loads
from provisioning.phones import issue_phone, register_phone
from provisioning.vault import private_folder

TENANT = "acme"
# What a tag's own message would lead a phone to; nobody has one here.
TAG_PAGE = "cloud.example/v1/sun"
# The card lies there already; the reader looks every few milliseconds.
PRESENT_S = 10.0
# A busy machine may keep the software reader from answering in its 0.1 s, as a loose cable would.
ATTEMPTS = 5
_KEY_BYTES, _TAG_BYTES = 16, 5
_S_A_DAY = 86_400

Outcome = TypeVar("Outcome")


@dataclass(slots=True)
class HeldCard:
    """A card in somebody's pocket: at one reader at a time. ``member`` is empty for nobody's."""

    card: Held
    reference: bytes
    member: str
    kind: str
    lock: threading.Lock = field(default_factory=threading.Lock)

    def paid(self) -> int | None:
        """What was taken from the purse on the card since the desk loaded it, None without one."""
        purse = PURSES.get(self.kind)
        return PURSE_START - purse(self.card) if purse and self.member else None


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
        return HeldCard(card, reference, member, kind)

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
        if kind in NUMBERS:
            return desk.register(member, present_s=PRESENT_S).reference
        return desk.personalise(kind, member, present_s=PRESENT_S)

    def _desk(self, authority: Authority, api: CloudApi | None, site: str) -> CardDesk:
        path = f"tty:{self._device.path}"
        self._reader = self._reader or nfc.READER.open(ReaderSettings(path))
        return card_desk(self._reader, authority, api, site, self._transport)

    def _drop_reader(self) -> None:
        if self._reader:
            self._reader.close()
        self._reader = None


class TagTable:
    """A reader of 125 kHz tags at the card desk. Whatever is opened is closed by ``close``."""

    def __init__(self, folder: Path) -> None:
        self._second = Second(SerialLine(private_folder(folder)), tags=True)
        self._reader = serial_tag.READER.open(ReaderSettings(self._second.path))

    def close(self) -> None:
        """Give the reader back."""
        self._reader.close()
        self._second.line.unplug()

    def register(self, authority: Authority, api: CloudApi, member: str) -> HeldCard:
        """Make a tag a member's."""
        tag = Em4100Tag(os.urandom(_TAG_BYTES))
        self._second.show(tag)
        identity = card_desk(self._reader, authority, api).register(member, present_s=PRESENT_S)
        return HeldCard(tag, identity.reference, member, identity.family)


def card_desk(
    reader: Reader,
    authority: Authority,
    api: CloudApi | None,
    site: str = "",
    transport: TransportKey = NO_TRANSPORT_KEY,
) -> CardDesk:
    """The desk at ``reader``; its cards are known at ``site`` alone, or at all sites."""
    return CardDesk(
        reader=reader,
        tenant=TENANT,
        keys=authority.cards,
        sites=tuple(key for key in authority.site_keys() if site in (key.site, "")),
        loads=Loads(authority.folder / "loads"),
        cloud=api,
        page=TAG_PAGE,
        wall_s=lambda: int(time.time()),
        draw=os.urandom,
        now=time.monotonic,
        transport=transport,
    )


def make_cards(authority: Authority, api: CloudApi, folder: Path) -> dict[str, HeldCard]:
    """Return every card of the day by name, issued, read back and registered."""
    forger = init(folder / "other-authority", TENANT, datetime.now(UTC))
    with closing(CardTable()) as table, closing(TagTable(folder / "tag-table")) as tags:
        cards = {
            name: _made((table, tags), authority, api, api.add_member(f"Member {name}"), carried)
            for name, carried in MEMBER_CARDS.items()
        }
        cards[STRANGER] = table.make(authority, None, "")
        cards[FORGED] = table.make(forger, None, "")
    return cards


def _made(
    tables: tuple[CardTable, TagTable],
    authority: Authority,
    api: CloudApi,
    member: str,
    carried: Carried,
) -> HeldCard:
    """What one member carries: a card or a tag from its table, or the code on a phone."""
    table, tags = tables
    if carried.kind == TAG:
        return tags.register(authority, api, member)
    if carried.kind != PHONE:
        return table.make(authority, api, member, carried.kind, carried.site)
    phone, day = MemberPhone(), int(time.time()) // _S_A_DAY
    issued = issue_phone(authority.cards, TENANT, phone.public_key, day, os.urandom)
    register_phone(issued, member, "member", api)
    phone.issued = issued.issued
    return HeldCard(phone, issued.reference, member, PHONE)
