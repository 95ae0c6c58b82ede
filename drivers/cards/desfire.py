"""Card family: MIFARE DESFire EV2 and EV3 with our purse; EV1 by the same key, but worth less.

What is said to the purse is left to drivers.desfire.purse, making one to
drivers.personalise_desfire.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from drivers.apdu import Steps
from drivers.card import CardIdentity, CardKind, CardTrust, Dialogue
from drivers.desfire import purse as dialogues
from drivers.desfire.purse import Intent, Purse, open_purse
from drivers.purse import Charge, Debited, Fate, Settled
from drivers.reader import Presented
from protocol.credential import card_reference
from protocol.record import CardClass

FAMILY = "desfire"


@dataclass(frozen=True, slots=True)
class OpenPurse:
    """drivers.purse.CardPurse on an open purse that proves its transactions.

    A proof: counter (4) and MAC (8) of the card, then the enciphered id of the reader before (16),
    with which the cloud can make the MAC's input again; after a tear without the last.
    """

    purse: Purse

    def prepare(self, charge: Charge) -> Steps[bytes]:
        """See CardPurse; no APDU."""
        yield from ()
        purse = self.purse
        if purse.last is None or charge.amount > purse.balance:
            raise ValueError("the purse does not hold the amount")
        intent = Intent(
            tid=charge.tid,
            reader_id=charge.reader_id,
            amount=charge.amount,
            counter=purse.last.counter,
            balance=purse.balance,
        )
        return msgspec.json.encode(intent)

    def debit(self, intent: bytes) -> Steps[Debited]:
        """See CardPurse; 4 APDUs."""
        changed = yield from dialogues.debit(self.purse, _intent(intent))
        proof = changed.proof.encode() + changed.previous_reader
        return Debited(changed.proof.counter, changed.balance_after, proof)

    def fate(self, intent: bytes) -> Steps[Settled]:
        """See CardPurse; at most 1 APDU."""
        meant = _intent(intent)
        fate = yield from dialogues.fate(self.purse, meant)
        last = self.purse.last
        if fate is not Fate.MOVED or last is None:
            return Settled(fate)
        counter = meant.counter + 1
        proof = last.encode() if last.counter == counter else b""
        return Settled(fate, Debited(counter, meant.balance - meant.amount, proof))


def _intent(data: bytes) -> Intent:
    return msgspec.json.decode(data, type=Intent)


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
        purse=None if last is None else OpenPurse(purse),
    )


def identify(trust: CardTrust, presented: Presented, nonce: bytes) -> Dialogue:
    """Open the purse (see there); presence is proved by the site's key."""
    return identity(trust, (yield from open_purse(trust.site, presented, nonce)))


CARD = CardKind(name=FAMILY, assurance=CardClass.VALUE, identify=identify, needs_site=True)
