"""What a card's bare number is worth: which numbers name a card, and the identity that one makes.

What a reader can tell of such a card besides its number differs from reader to reader, and gives
its family a name. The card is the same one whatever it is called, so that its reference is made of
the number alone.
"""

from __future__ import annotations

from drivers.card import CardIdentity, CardTrust
from drivers.errors import CardUnknown
from drivers.reader import Presented
from protocol.credential import card_reference
from protocol.record import CardClass

NUMBER_BYTES_MIN = 4  # the shortest of type A; shorter ones would meet by chance

_NAMED = "uid_only"  # in the input of the reference, for every family without proof
_RANDOM_UID_BYTES, _RANDOM_UID = 4, 0x08  # ISO/IEC 14443-3, 6.5.4: made anew in each field
# IDm of a phone that plays a peer (NFC Forum Digital, NFCID2).
_IDM_BYTES, _NFC_DEP = 8, b"\x01\xfe"


def by_number(family: str, trust: CardTrust, presented: Presented) -> CardIdentity:
    """Return who the card is, in the class that earns and never pays: anybody can copy a number.

    CardUnknown for a number that the next tap would not show again.
    """
    number = presented.uid or b""
    if len(number) < NUMBER_BYTES_MIN or not any(number):
        raise CardUnknown("a card without a number")
    if len(number) == _RANDOM_UID_BYTES and number[0] == _RANDOM_UID:
        raise CardUnknown("a number made anew in each field")
    if len(number) == _IDM_BYTES and number.startswith(_NFC_DEP):
        raise CardUnknown("a phone that plays a peer")
    return CardIdentity(
        family=family,
        assurance=CardClass.UID,
        reference=card_reference(trust.reference_key, _NAMED, number),
    )
