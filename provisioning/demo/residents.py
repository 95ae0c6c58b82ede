"""The chain's members and their cards: software cards, made by the real personalisation.

A card is laid on a reader, as at any card desk; its private key never leaves it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from drivers.reader import ReaderSettings
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
_MS_A_DAY = 86_400_000
_KEY_BYTES = 16


@dataclass(slots=True)
class HeldCard:
    """A card in somebody's pocket: at one reader at a time. ``member`` is empty for nobody's."""

    card: CpuCard
    reference: bytes
    member: str
    lock: threading.Lock = field(default_factory=threading.Lock)


def make_cards(
    authority: Authority, api: CloudApi, folder: Path, members: Sequence[str] = ()
) -> dict[str, HeldCard]:
    """Return every card by name, issued, read back and registered.

    ``members``: whose besides those of nobody here; all of the day's when none is named.
    """
    transport, device = os.urandom(_KEY_BYTES), Pn532Device()
    reader = READER.open(ReaderSettings(path=f"tty:{device.path}"))
    desk = CardDesk(
        reader=reader,
        tenant=TENANT,
        keys=authority.cards,
        transport_key=transport,
        cloud=api,
        day=time.time_ns() // 1_000_000 // _MS_A_DAY,
        draw=os.urandom,
        now=time.monotonic,
    )
    forger = init(folder / "other-authority", TENANT, datetime.now(UTC))
    try:
        cards = {
            name: _made(desk, device, api.add_member(f"Member {name}"))
            for name in members or member_cards()
        }
        cards[STRANGER] = _made(replace(desk, cloud=None), device, "")
        cards[FORGED] = _made(replace(desk, cloud=None, keys=forger.cards), device, "")
    finally:
        reader.close()
        device.close()
    return cards


def _made(desk: CardDesk, device: Pn532Device, member: str) -> HeldCard:
    card = CpuCard(CpuState.blank(os.urandom(_KEY_BYTES), desk.transport_key))
    device.insert(card)
    reference = desk.personalise(member, present_s=PRESENT_S)
    device.remove()
    desk.reader.wait_for_removal(PRESENT_S)
    return HeldCard(card, reference, member)
