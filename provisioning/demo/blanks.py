"""Cards as a factory delivers them, in software: one of each kind that the demo's members carry."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from drivers.virtual.cards.cpu import CpuCard
from drivers.virtual.cards.cpu_state import CpuState
from drivers.virtual.cards.desfire import DesfireCard
from drivers.virtual.cards.desfire_state import DesfireState
from drivers.virtual.cards.em4100 import Em4100Tag
from drivers.virtual.cards.felica import FelicaCard
from drivers.virtual.cards.felica_standard import FelicaStandardCard
from drivers.virtual.cards.felica_state import FelicaState
from drivers.virtual.cards.file_card import FileCard
from drivers.virtual.cards.file_card_state import FileCardState
from drivers.virtual.cards.mifare_classic import MifareClassicCard
from drivers.virtual.cards.ntag424 import Ntag424Card
from drivers.virtual.cards.ntag424_state import Ntag424State
from drivers.virtual.cards.pboc_purse import PbocPurseCard
from drivers.virtual.cards.pboc_purse_state import PurseState
from drivers.virtual.cards.uid_only import NumberCard
from drivers.virtual.cards.ultralight import UltralightCard
from drivers.virtual.cards.ultralight_state import UltralightState
from drivers.virtual.faults import FrameCard, VirtualCard
from protocol.desfire_purse import APPLICATION, PURSE_FILE
from provisioning.demo.phone import MemberPhone

AnyCard = VirtualCard | FrameCard
# What a member holds to a terminal.
Held = AnyCard | Em4100Tag | MemberPhone
# Cards that nothing of ours is written to: their number is registered.
NUMBERS = frozenset(("mifare_classic", "felica_standard", "uid_only"))


def _uid() -> bytes:
    """Seven bytes as NXP gives them."""
    return b"\x04" + os.urandom(6)


# Kind of a card with a purse -> what is on it, minor units, as no terminal can know.
PURSES: dict[str, Callable[[Any], int]] = {
    "desfire": lambda card: card.state.applications[APPLICATION.hex()].files[PURSE_FILE].value,
    "pboc_purse": lambda card: card.state.purse.balance,
}
# Kind -> a new card; those that are delivered under a transport key (16 bytes) have it.
BLANKS: dict[str, Callable[[bytes], AnyCard]] = {
    "cpu": lambda key: CpuCard(CpuState.blank(os.urandom(16), key)),
    "desfire": lambda _: DesfireCard(DesfireState.blank(_uid())),
    "felica": lambda _: FelicaCard(FelicaState.blank(b"\x01\x2e" + os.urandom(6))),
    "file_card": lambda key: FileCard(FileCardState.blank(os.urandom(16), key)),
    "ntag424": lambda _: Ntag424Card(Ntag424State(_uid())),
    "pboc_purse": lambda key: PbocPurseCard(PurseState.blank(os.urandom(10), key)),
    "ultralight": lambda _: UltralightCard(UltralightState.blank(_uid(), aes=True)),
    "mifare_classic": lambda _: MifareClassicCard(_uid()),
    "felica_standard": lambda _: FelicaStandardCard(b"\x01\x14" + os.urandom(6)),
    "uid_only": lambda _: NumberCard(_uid()),
}
