"""Card family: MIFARE Classic and its kin, known by what they say when they are selected.

It is never authenticated. Its cipher is broken (Garcia et al., "Dismantling MIFARE Classic",
ESORICS 2008): whoever holds a card for some seconds has its keys and makes a perfect copy, so that
a right answer proves no more than the number does. The card earns and never pays.
"""

from __future__ import annotations

from drivers.card import CardKind, CardTrust, FrameDialogue
from drivers.errors import CardUnknown
from drivers.number import by_number
from drivers.reader import Presented, Technology
from protocol.record import CardClass

FAMILY = "mifare_classic"

# Mini, 1K, 4K (NXP AN10833, section 3), and a 1K by Infineon. A MIFARE Plus in security level 1
# answers as they do, and speaks nothing else.
_SAKS = frozenset({0x09, 0x08, 0x18, 0x88})
# 1K, 4K, Mini, MIFARE Plus in level 1 (PC/SC part 3, supplement on storage cards).
_CARD_NAMES = frozenset({0x0001, 0x0002, 0x0026, 0x0036, 0x0037})


def identify(trust: CardTrust, presented: Presented, _nonce: bytes) -> FrameDialogue:
    """Say nothing to the card; CardUnknown when the reader tells of another kind."""
    yield from ()
    if presented.sak not in _SAKS and presented.card_name not in _CARD_NAMES:
        raise CardUnknown("no MIFARE Classic")
    return by_number(FAMILY, trust, presented)


CARD = CardKind(
    name=FAMILY, assurance=CardClass.UID, identify=identify, technology=Technology.NUMBER
)
