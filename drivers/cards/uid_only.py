"""Card family: any other card by its number alone: tickets, stripes, cards of somebody else.

It is asked last, for cards that no other family could prove or name.
"""

from __future__ import annotations

from drivers.card import CardKind, CardTrust, FrameDialogue
from drivers.number import by_number
from drivers.reader import Presented, Technology
from protocol.record import CardClass

FAMILY = "uid_only"


def identify(trust: CardTrust, presented: Presented, _nonce: bytes) -> FrameDialogue:
    """Say nothing to the card; CardUnknown for a number that names none."""
    yield from ()
    return by_number(FAMILY, trust, presented)


CARD = CardKind(
    name=FAMILY,
    assurance=CardClass.UID,
    identify=identify,
    technology=Technology.NUMBER,
    is_last=True,
)
