"""Card family: MIFARE DESFire EV2 and EV3 with our purse; EV1 by the same key, but worth less.

Debiting it is left to drivers.desfire.purse, making one to drivers.personalise_desfire.
"""

from __future__ import annotations

from drivers.card import CardIdentity, CardKind, CardTrust, Dialogue
from drivers.desfire.purse import Purse, open_purse
from drivers.reader import Presented
from protocol.credential import card_reference
from protocol.record import CardClass

FAMILY = "desfire"


def identity(trust: CardTrust, purse: Purse) -> CardIdentity:
    """Say in the words of a record whose purse is open.

    ``counter`` is the card's transaction counter (TMC), ``proof`` it and the MAC of the last
    transaction as the card has them (4 + 8 bytes). An EV1 card proves neither: no value class.
    """
    last = purse.last
    return CardIdentity(
        family=FAMILY,
        assurance=CardClass.SECURE if last is None else CardClass.VALUE,
        reference=card_reference(trust.reference_key, FAMILY, purse.uid),
        counter=None if last is None else last.counter,
        balance_before=purse.balance,
        proof=b"" if last is None else last.encode(),
    )


def identify(trust: CardTrust, presented: Presented, nonce: bytes) -> Dialogue:
    """Open the purse (see there); presence is proved by the site's key."""
    return identity(trust, (yield from open_purse(trust.site, presented, nonce)))


CARD = CardKind(name=FAMILY, assurance=CardClass.VALUE, identify=identify, needs_site=True)
