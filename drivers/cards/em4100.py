"""Card family: EM4100 tags (125 kHz), which say their number to every field and know no secret.

Only a reader of such tags can tell that a number is one of theirs; the same number from a reader
that types plain digits is a number like any other.
"""

from __future__ import annotations

from drivers.card import CardKind, CardTrust, FrameDialogue
from drivers.errors import CardUnknown
from drivers.number import by_number
from drivers.number_format import EM4100_FRAME
from drivers.reader import Presented, Technology
from protocol.record import CardClass

FAMILY = "em4100"


def identify(trust: CardTrust, presented: Presented, _nonce: bytes) -> FrameDialogue:
    """Say nothing to the tag; CardUnknown when the number came in another format."""
    yield from ()
    if presented.number_format != EM4100_FRAME:
        raise CardUnknown("no reader of EM4100 tags")
    return by_number(FAMILY, trust, presented)


CARD = CardKind(
    name=FAMILY, assurance=CardClass.UID, identify=identify, technology=Technology.NUMBER
)
