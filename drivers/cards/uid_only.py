"""Card family: any card by its number alone: MIFARE Classic, FeliCa Standard, 125 kHz, tickets.

Anybody can copy a number, so such a card earns and never pays. It is asked last, for cards that no
other family could prove.
"""

from __future__ import annotations

from drivers.card import CardIdentity, CardKind, CardTrust, FrameDialogue
from drivers.errors import CardUnknown
from drivers.reader import Presented, Technology
from protocol.credential import card_reference
from protocol.record import CardClass

FAMILY = "uid_only"
NUMBER_BYTES_MIN = 4  # the shortest of type A; shorter ones would meet by chance

_RANDOM_UID_BYTES, _RANDOM_UID = 4, 0x08  # ISO/IEC 14443-3, 6.5.4: made anew in each field
# IDm of a phone that plays a peer (NFC Forum Digital, NFCID2).
_IDM_BYTES, _NFC_DEP = 8, b"\x01\xfe"


def identify(trust: CardTrust, presented: Presented, _nonce: bytes) -> FrameDialogue:
    """Say nothing to the card; CardUnknown for a number that the next tap would not show again."""
    yield from ()
    number = presented.uid or b""
    if len(number) < NUMBER_BYTES_MIN or not any(number):
        raise CardUnknown("a card without a number")
    if len(number) == _RANDOM_UID_BYTES and number[0] == _RANDOM_UID:
        raise CardUnknown("a number made anew in each field")
    if len(number) == _IDM_BYTES and number.startswith(_NFC_DEP):
        raise CardUnknown("a phone that plays a peer")
    return CardIdentity(
        family=FAMILY,
        assurance=CardClass.UID,
        reference=card_reference(trust.reference_key, FAMILY, number),
    )


CARD = CardKind(
    name=FAMILY, assurance=CardClass.UID, identify=identify, technology=Technology.NUMBER
)
