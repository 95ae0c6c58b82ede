"""Makes blank cards member cards, over a real reader, and tells the cloud whose they are.

What is said to the card is drivers.personalise; here are its keys, its credential and its owner.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from drivers.card import NONCE_BYTES, CardTrust
from drivers.cards.cpu import FAMILY
from drivers.errors import CardIssued
from drivers.exchange import Deadlines, hold
from drivers.identify import Examiner, card_kinds
from drivers.personalise import admin_key, personalise
from drivers.reader import Presented, Reader
from protocol.credential import Credential, issue
from provisioning.authority import CardKeys
from provisioning.cloud_api import CloudApi
from provisioning.errors import CardRegisteredOtherwise, NoCard

# Five years: a card wears out before.
VALID_DAYS = 5 * 365
# A person looks for the card first.
PRESENT_S = 60.0
# A contact card makes its key pair in some seconds.
PERSONALISATION = Deadlines(exchange_s=20.0, dialogue_s=60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardDesk:
    """One reader, the keys, and the world: ``draw(n)`` random bytes, ``now`` monotonic seconds.

    ``transport_key`` opens cards as they were delivered; ``day`` is today since 1970-01-01 UTC.
    ``cloud`` None makes cards that nobody knows yet.
    """

    reader: Reader
    tenant: str
    keys: CardKeys
    transport_key: bytes
    cloud: CloudApi | None
    day: int
    draw: Callable[[int], bytes]
    now: Callable[[], float]

    def personalise(
        self, member: str, *, card_type: str = "member", present_s: float = PRESENT_S
    ) -> bytes:
        """Make the next card ``member``'s; return its reference once the terminal accepts it.

        A card torn away is presented once more and the same call does what is missing; a card that
        is issued already keeps what is on it. NoCard,
        CardRegisteredOtherwise, CloudRefused, or the DriverError with which the card refused.
        """
        presented = self.reader.wait_for_card(present_s)
        if presented is None:
            raise NoCard
        dialogue = personalise(
            lambda _: self.transport_key,
            lambda serial: admin_key(self.keys.admin_master, serial, b""),
            lambda serial, public_key: self._credential(serial, public_key, card_type),
            self.draw(NONCE_BYTES),
        )
        # An issued card was torn away behind the last command, or it was presented by mistake:
        # reading it back proves that it is ours, registering it that it is nobody else's.
        with suppress(CardIssued):
            hold(
                dialogue,
                self.reader,
                PERSONALISATION,
                self.now,
                extended=presented.extended,
            )
        reference = self._read_back(presented)
        self._register(reference, member, card_type)
        return reference

    def _credential(self, serial: bytes, public_key: bytes, card_type: str) -> bytes:
        credential = Credential(
            card_id=serial,
            public_key=public_key,
            tenant=self.tenant,
            issued_day=self.day,
            expires_day=self.day + VALID_DAYS,
            card_type=card_type,
        )
        return issue(credential, self.keys.issuer)

    def _read_back(self, presented: Presented) -> bytes:
        """Return the card's reference as a terminal finds it, by the terminal's own dialogue."""
        issuer = self.keys.issuer.verifier
        trust = CardTrust(
            reference_key=self.keys.reference,
            issuers={issuer.key_id: issuer},
            tenant=self.tenant,
            day=self.day,
        )
        examiner = Examiner(
            kinds=card_kinds(),
            trust=lambda: trust,
            nonce=lambda: self.draw(NONCE_BYTES),
            now=self.now,
        )
        return examiner.identify(self.reader, presented).reference

    def _register(self, reference: bytes, member: str, card_type: str) -> None:
        if self.cloud is None:
            return
        owner = self.cloud.card_member(reference)
        if owner is None:
            self.cloud.register_card(reference, member, FAMILY, card_type)
        elif owner != member:
            raise CardRegisteredOtherwise(reference.hex())
