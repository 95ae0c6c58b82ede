"""Card family: the electronic purse (EP) of a PBOC card, JR/T 0025.2, with keys of the site.

The card proves its presence with one key and takes a purchase with another: whoever could have any
8 bytes enciphered with the purchase key could make the MAC of a purchase. Loads are online: MAC2
comes from whoever holds the credit key. The balance that a card tells carries no MAC; what it
debited does. Making such a card is left to whoever issues it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hmac import compare_digest

import msgspec

from drivers.apdu import CommandApdu, Steps, refused
from drivers.card import CardIdentity, CardKind, CardTrust, Dialogue
from drivers.errors import (
    CardExpired,
    CardForeign,
    CardForged,
    CardRefused,
    CardUnknown,
    ChannelBroken,
)
from drivers.purse import Charge, Fate
from drivers.purse import Debited as PurseDebited
from drivers.purse import Settled as PurseSettled
from drivers.reader import Presented
from drivers.secure_channel import pboc
from drivers.secure_channel.pboc import LoadOffer, PurchaseOffer
from drivers.secure_channel.pboc_host import LoadGrant, LoadRequest
from protocol.block_cipher import one_block, triple_des
from protocol.card_keys import ReadKey, SiteKey
from protocol.credential import card_reference
from protocol.pboc_purse import (
    MAC_BYTES,
    TERMINAL_BYTES,
    PurchaseClaim,
    Purse,
    key_input,
    mac,
    purchase_proof,
    session_key,
    transaction,
)
from protocol.record import CardClass

FAMILY = "pboc_purse"
APPLICATION = bytes.fromhex("A00000000386980701")
INFO_FILE, LOG_FILE = 0x15, 0x18
INFO_BYTES = 30
LOG_RECORDS = 10
LOG_RECORD_BYTES = 23
CHALLENGE_BYTES = 8
# Numbers of keys in the input of AN10922; the site's slot is added to the first two.
PURCHASE_KEYS, PRESENCE_KEYS, CREDIT_KEY = 0x10, 0x20, 0x30
# The index by which the card knows the keys of one kind: the site's slot is added for a purchase.
FIRST_INDEX = 1

_NOBODY = bytes(6)  # terminal of an INITIALIZE that only looks
_NO_SUCH_KEY, _NOT_PROVED, _NO_RECORD = 0x9403, 0x9406, 0x6A83


@dataclass(frozen=True, slots=True)
class OpenPurse:
    """A purse whose card is present. ``number`` goes no further than drivers.

    ``balance`` in minor units, ``sequence`` the number of the next purchase, ``key`` takes one
    under ``index``; ``answer`` (8 bytes) is the card's to the challenge.
    """

    number: bytes
    balance: int
    sequence: int
    key: ReadKey
    index: int
    answer: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """A debit as it is written down before the card is told: what is asked, what it offered."""

    claim: PurchaseClaim
    offer: PurchaseOffer

    @property
    def sequence(self) -> int:
        """The card's number of this purchase; no other that happens ever has it."""
        return int.from_bytes(self.offer.offline_seq, "big")

    @property
    def balance_after(self) -> int:
        """Minor units on the card once it happened."""
        return self.offer.balance - self.claim.amount


@dataclass(frozen=True, slots=True)
class Debited:
    """The purchase happened; the cloud checks ``tac`` (4 bytes) over its claim."""

    sequence: int
    tac: bytes
    balance_after: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """The load happened; the cloud checks ``tac`` (4 bytes) over request and grant."""

    sequence: int
    tac: bytes
    balance_after: int


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a torn purchase; ``debited`` when the card still had the proof."""

    fate: Fate
    debited: Debited | None = None


def open_purse(trust: CardTrust, nonce: bytes) -> Steps[OpenPurse]:
    """SELECT, READ BINARY, INITIALIZE FOR PURCHASE of nothing, INTERNAL AUTHENTICATE: 4 APDUs.

    CardUnknown without the application, CardForeign without a key of this site, CardExpired,
    CardForged when the answer is not that of the card.
    """
    response = yield CommandApdu(0x00, 0xA4, 0x04, 0x00, APPLICATION, ne=256)
    if not response.ok:
        raise CardUnknown
    if trust.site is None:
        raise CardForeign("this terminal has no site key")
    number = yield from _read_number(trust.day)
    index = FIRST_INDEX + trust.site.slot
    offer = yield from _initialize(index, 0, _NOBODY)
    challenge = nonce[:CHALLENGE_BYTES]
    response = yield CommandApdu(0x00, 0x88, 0x00, index, challenge, ne=CHALLENGE_BYTES)
    if response.sw in (_NO_SUCH_KEY, 0x6A88):
        raise CardForeign("no key of this site")
    if not response.ok:
        raise refused(response, "INTERNAL AUTHENTICATE")
    presence, purchase = _keys(trust.site, number)
    if not compare_digest(one_block(triple_des(presence.secret), challenge), response.data):
        raise CardForged("the answer to the challenge")
    sequence = int.from_bytes(offer.offline_seq, "big")
    return OpenPurse(number, offer.balance, sequence, purchase, index, response.data)


def _keys(site: SiteKey, number: bytes) -> tuple[ReadKey, ReadKey]:
    slots = PRESENCE_KEYS + site.slot, PURCHASE_KEYS + site.slot
    presence, purchase = (site.read_key(key_input(number, slot)) for slot in slots)
    return presence, purchase


def _read_number(day: int) -> Steps[bytes]:
    """Return the card's number (10 bytes) from the public information file, once it is of today."""
    response = yield CommandApdu(0x00, 0xB0, 0x80 | INFO_FILE, 0x00, ne=INFO_BYTES)
    if not response.ok or len(response.data) != INFO_BYTES:
        raise refused(response, "read the public information")
    if day > _day(response.data[24:28]):
        raise CardExpired
    return response.data[10:20]


def _day(packed: bytes) -> int:
    """Days since 1970-01-01 of packed digits YYYYMMDD."""
    try:
        return (date.fromisoformat(packed.hex()) - date(1970, 1, 1)).days
    except ValueError as error:
        raise CardRefused(0x9000, "the public information has no date of expiry") from error


def _initialize(index: int, amount: int, terminal: bytes) -> Steps[PurchaseOffer]:
    command = pboc.initialize_purchase(Purse.PURSE, index, amount, terminal)
    response = yield command
    if response.sw == _NO_SUCH_KEY:
        raise CardForeign("no key of this site")
    if not response.ok:
        raise refused(response, "INITIALIZE FOR PURCHASE")
    return PurchaseOffer.decode(response.data)


def get_balance() -> Steps[int]:
    """Return the balance in minor units: 1 APDU."""
    response = yield CommandApdu(0x80, 0x5C, 0x00, Purse.PURSE, ne=4)
    if not response.ok or len(response.data) != 4:
        raise refused(response, "GET BALANCE")
    return int.from_bytes(response.data, "big")


def begin(purse: OpenPurse, claim: PurchaseClaim) -> Steps[Purchase]:
    """INITIALIZE FOR PURCHASE; nothing on the card changes. What is returned goes to the disk.

    ValueError for an amount that the purse does not hold, ChannelBroken for a card that is not
    as it was when the purse was opened.
    """
    if not 0 < claim.amount <= purse.balance or claim.purse is not Purse.PURSE:
        raise ValueError("the purse does not hold the amount")
    offer = yield from _initialize(purse.index, claim.amount, claim.terminal)
    purchase = Purchase(claim=claim, offer=offer)
    if (purchase.sequence, offer.balance) != (purse.sequence, purse.balance):
        raise ChannelBroken("the purse changed since it was opened")
    return purchase


def debit(purse: OpenPurse, purchase: Purchase) -> Steps[Debited]:
    """DEBIT FOR PURCHASE right after ``begin``: 1 APDU that is everything or nothing.

    After any error only ``fate`` tells what became of it.
    """
    claim = purchase.claim
    key = _session_key(purse, purchase)
    details = transaction(claim.amount, claim.purse.purchase_type, claim.terminal, claim.moment)
    response = yield pboc.debit(claim.terminal_seq, claim.moment, mac(key, details))
    if not response.ok:
        raise refused(response, "DEBIT FOR PURCHASE")
    tac, mac2 = response.data[:MAC_BYTES], response.data[MAC_BYTES:]
    if not compare_digest(mac2, _mac2(key, purchase)):
        raise ChannelBroken("DEBIT FOR PURCHASE: wrong MAC2")
    return Debited(purchase.sequence, tac, purchase.balance_after)


def _session_key(purse: OpenPurse, purchase: Purchase) -> bytes:
    text = pboc.purchase_input(purchase.offer, purchase.claim.terminal_seq)
    return session_key(purse.key.secret, text)


def _mac2(key: bytes, purchase: Purchase) -> bytes:
    return mac(key, pboc.purchase_mac2_input(purchase.claim.amount))


def fate(purse: OpenPurse, purchase: Purchase) -> Steps[Settled]:
    """Look what became of an earlier purchase of this card, whose purse was opened anew.

    No APDU when the card counted nothing since, 1 (GET TRANSACTION PROVE) when it was its last
    one, else up to LOG_RECORDS more. It MOVED only if the card kept the MAC2 of it: whoever stands
    between card and reader could write the log.
    """
    if purse.sequence == purchase.sequence:
        return Settled(Fate.NOT_MOVED)
    kind = purchase.claim.purse.purchase_type
    kept = yield from _prove(kind, purchase.offer.offline_seq)
    mac2, tac = kept[:MAC_BYTES], kept[MAC_BYTES:]
    if compare_digest(mac2, _mac2(_session_key(purse, purchase), purchase)):
        return Settled(Fate.MOVED, Debited(purchase.sequence, tac, purchase.balance_after))
    return Settled(resolve(purchase, purse.sequence, (yield from _read_log())))


def resolve(purchase: Purchase, sequence: int, log: tuple[bytes, ...]) -> Fate:
    """Decide from the number of the card's next purchase and its log, newest record first.

    A record: number (2), overdraft limit (3), then amount, type, terminal and moment. The log has
    no MAC, so that it never proves that money moved: NOT_MOVED or UNKNOWN.
    """
    claim = purchase.claim
    kind = claim.purse.purchase_type
    details = transaction(claim.amount, kind, claim.terminal, claim.moment)
    if any(record[5:] == details for record in log):
        return Fate.UNKNOWN
    since = sequence - purchase.sequence
    if 0 <= since <= sum(record[9] == kind for record in log):
        return Fate.NOT_MOVED
    return Fate.UNKNOWN


def _prove(kind: int, sequence: bytes) -> Steps[bytes]:
    """GET TRANSACTION PROVE: MAC and TAC of the transaction with this number, or nothing."""
    response = yield CommandApdu(0x80, 0x5A, 0x00, kind, sequence, ne=2 * MAC_BYTES)
    if response.sw == _NOT_PROVED:
        return b""
    if not response.ok or len(response.data) != 2 * MAC_BYTES:
        raise refused(response, "GET TRANSACTION PROVE")
    return response.data


def _read_log() -> Steps[tuple[bytes, ...]]:
    records: list[bytes] = []
    for number in range(1, LOG_RECORDS + 1):
        wanted = LOG_RECORD_BYTES
        response = yield CommandApdu(0x00, 0xB2, number, LOG_FILE << 3 | 4, ne=wanted)
        if response.sw == _NO_RECORD:
            break
        if not response.ok or len(response.data) != wanted:
            raise refused(response, "read the log")
        records.append(response.data)
    return tuple(records)


def offer_load(purse: OpenPurse, amount: int, terminal: bytes) -> Steps[LoadRequest]:
    """INITIALIZE FOR LOAD: what the holder of the credit key is asked to grant: 1 APDU."""
    response = yield pboc.initialize_load(Purse.PURSE, FIRST_INDEX, amount, terminal)
    if not response.ok:
        raise refused(response, "INITIALIZE FOR LOAD")
    offer = LoadOffer.decode(response.data)
    return LoadRequest(purse.number, Purse.PURSE, amount, terminal, offer)


def load(
    purse: OpenPurse, amount: int, terminal: bytes, ask: Callable[[LoadRequest], LoadGrant]
) -> Steps[Loaded]:
    """INITIALIZE FOR LOAD and CREDIT FOR LOAD, 2 APDUs; the cloud answers ``ask`` in between.

    The cloud has request and grant on its disk before it answers; after an error ``load_proof``
    tells it what became of them.
    """
    request = yield from offer_load(purse, amount, terminal)
    granted = ask(request)
    response = yield pboc.credit(granted.moment, granted.mac2)
    if not response.ok:
        raise refused(response, "CREDIT FOR LOAD")
    sequence = int.from_bytes(request.offer.online_seq, "big")
    return Loaded(sequence, response.data, request.offer.balance + amount)


def load_proof(request: LoadRequest) -> Steps[bytes]:
    """Return the TAC that the card kept under the number of an earlier load: 1 APDU.

    Only the cloud can tell whether it is that load's; empty when the card has none for it.
    """
    kept = yield from _prove(request.purse.load_type, request.offer.online_seq)
    return kept[MAC_BYTES:]


@dataclass(frozen=True, slots=True)
class TerminalPurse:
    """drivers.purse.CardPurse on an open purse.

    A proof: TAC (4), the terminal's number of the purchase (4) and its moment (7): with amount and
    terminal all that the TAC is over.
    """

    purse: OpenPurse

    def prepare(self, charge: Charge) -> Steps[bytes]:
        """See CardPurse; 1 APDU."""
        moment = datetime.fromtimestamp(charge.wall_ms // 1000, UTC).strftime("%Y%m%d%H%M%S")
        claim = PurchaseClaim(
            Purse.PURSE,
            charge.amount,
            charge.reader_id[:TERMINAL_BYTES],
            charge.number % (1 << 32),
            bytes.fromhex(moment),
        )
        return msgspec.json.encode((yield from begin(self.purse, claim)))

    def debit(self, intent: bytes) -> Steps[PurseDebited]:
        """See CardPurse; 1 APDU."""
        purchase = _purchase(intent)
        return _said(purchase, (yield from debit(self.purse, purchase)))

    def fate(self, intent: bytes) -> Steps[PurseSettled]:
        """See CardPurse; at most 1 + LOG_RECORDS APDUs."""
        purchase = _purchase(intent)
        settled = yield from fate(self.purse, purchase)
        if settled.fate is not Fate.MOVED:
            return PurseSettled(settled.fate)
        return PurseSettled(Fate.MOVED, _said(purchase, settled.debited))


def _purchase(intent: bytes) -> Purchase:
    return msgspec.json.decode(intent, type=Purchase)


def _said(purchase: Purchase, debited: Debited | None) -> PurseDebited:
    """In the words of every family: the counter is the number of the card's next purchase."""
    proof = b"" if debited is None else purchase_proof(purchase.claim, debited.tac)
    return PurseDebited(purchase.sequence + 1, purchase.balance_after, proof)


def identify(trust: CardTrust, _presented: Presented, nonce: bytes) -> Dialogue:
    """Open the purse (see there). ``proof``: challenge and answer, 8 bytes each."""
    purse = yield from open_purse(trust, nonce)
    return CardIdentity(
        family=FAMILY,
        assurance=CardClass.VALUE,
        reference=card_reference(trust.reference_key, FAMILY, purse.number),
        counter=purse.sequence,
        balance_before=purse.balance,
        proof=nonce[:CHALLENGE_BYTES] + purse.answer,
        purse=TerminalPurse(purse),
    )


CARD = CardKind(name=FAMILY, assurance=CardClass.VALUE, identify=identify, needs_site=True)
