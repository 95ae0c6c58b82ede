"""The chain's members and their cards: software cards, made by the real personalisation.

A card is laid on a reader, as at any card desk; its private key never leaves it.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from drivers.errors import CardGone, ExchangeTimeout, ReaderLost
from drivers.reader import Reader, ReaderSettings
from drivers.readers.nfc import READER
from drivers.virtual.cards.cpu import CpuCard
from drivers.virtual.cards.cpu_state import CpuState
from drivers.virtual.pn532 import Pn532Device
from provisioning.authority import Authority, init
from provisioning.cards import CardDesk
from provisioning.cloud_api import CloudApi
from provisioning.demo.plan import FORGED, STRANGER, member_cards

TENANT = "acme"
# The card lies there already; the reader looks every few milliseconds.
PRESENT_S = 10.0
# A busy machine may keep the software reader from answering in its 0.1 s, as a loose cable would.
ATTEMPTS = 5
_MS_A_DAY = 86_400_000
_KEY_BYTES = 16


@dataclass(slots=True)
class HeldCard:
    """A card in somebody's pocket: at one reader at a time. ``member`` is empty for nobody's."""

    card: CpuCard
    reference: bytes
    member: str
    lock: threading.Lock = field(default_factory=threading.Lock)


class CardTable:
    """A reader and a pile of blank cards. Whatever is opened is closed by ``close``."""

    def __init__(self) -> None:
        self.transport_key = os.urandom(_KEY_BYTES)
        self._device = Pn532Device()
        self._reader: Reader | None = None

    def close(self) -> None:
        """Give the reader back."""
        if self._reader:
            self._reader.close()
        self._device.close()

    def make(self, authority: Authority, api: CloudApi | None, member: str) -> HeldCard:
        """Personalise one card; again, as a person would, when the reader fails in between."""
        card = CpuCard(CpuState.blank(os.urandom(_KEY_BYTES), self.transport_key))
        self._device.insert(card)
        for _ in range(ATTEMPTS - 1):
            try:
                return self._made(card, authority, api, member)
            except (ReaderLost, CardGone, ExchangeTimeout):
                self._drop_reader()
        return self._made(card, authority, api, member)

    def _made(
        self, card: CpuCard, authority: Authority, api: CloudApi | None, member: str
    ) -> HeldCard:
        self._reader = self._reader or READER.open(ReaderSettings(path=f"tty:{self._device.path}"))
        desk = CardDesk(
            reader=self._reader,
            tenant=TENANT,
            keys=authority.cards,
            transport_key=self.transport_key,
            cloud=api,
            day=time.time_ns() // 1_000_000 // _MS_A_DAY,
            draw=os.urandom,
            now=time.monotonic,
        )
        reference = desk.personalise(member, present_s=PRESENT_S)
        self._device.remove()
        self._reader.wait_for_removal(PRESENT_S)
        return HeldCard(card, reference, member)

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
            name: table.make(authority, api, api.add_member(f"Member {name}"))
            for name in member_cards()
        }
        cards[STRANGER] = table.make(authority, None, "")
        cards[FORGED] = table.make(forger, None, "")
    finally:
        table.close()
    return cards
