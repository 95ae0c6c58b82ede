"""What a card is to this program: an identity, and a dialogue that finds it without doing I/O."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field

from drivers.apdu import CommandApdu, ResponseApdu
from drivers.purse import CardPurse
from drivers.reader import Presented, Technology
from protocol.card_keys import SiteKey
from protocol.qr_credential import Shown
from protocol.record import CardClass
from protocol.signing import VerifyingKey

# A nonce that repeats would let an answer be replayed: 2**-64 after 2**32 taps.
NONCE_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class CardIdentity:
    """A card that proved itself, in the words of a record.

    ``reference`` is keyed and one-way (16 bytes): no raw card number is in here. Balances are minor
    units of a purse on the card. ``proof`` is what lets the cloud check the card again; its layout
    is the card family's. ``purse`` is open while the card stays where it is.
    """

    family: str
    assurance: CardClass
    reference: bytes
    counter: int | None = None
    balance_before: int | None = None
    balance_after: int | None = None
    proof: bytes = b""
    purse: CardPurse | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class CodeTrust:
    """What codes need beside keys: the time in seconds since 1970, and what was shown before."""

    now_s: int
    shown: Shown


@dataclass(frozen=True, slots=True, kw_only=True)
class CardTrust:
    """All that a dialogue may know: public keys, the tenant's reference key (32 bytes), today.

    ``issuers`` by key id; ``day`` counts from 1970-01-01 UTC. ``site`` is for cards with secret
    keys; a family that needs it raises CardForeign without. Without ``codes`` no code is taken. No
    key that could make a card.
    """

    reference_key: bytes
    issuers: Mapping[bytes, VerifyingKey]
    tenant: str
    day: int
    site: SiteKey | None = None
    codes: CodeTrust | None = None


# Yields commands, is sent whole responses (chaining and 61xx done), returns who the card is.
Dialogue = Generator[CommandApdu, ResponseApdu, CardIdentity]
# The same with a card that takes no APDUs: frames of its technology, none for a code or number.
FrameDialogue = Generator[bytes, bytes, CardIdentity]


@dataclass(frozen=True, slots=True)
class CardKind:
    """One card family. ``identify`` takes the trust, the card and a nonce of NONCE_BYTES.

    It returns a Dialogue for the technology APDU, else a FrameDialogue. Either raises CardUnknown
    when the card has no application of this family, so that the next family is asked, and another
    DriverError when the card is of this family and fails. Silence to the first frame of a
    FrameDialogue is taken for CardUnknown by who holds it. Families that are surer (``assurance``)
    are asked first. ``needs_site``: without a site's key there is nothing to ask a card, and the
    time of a tap is not spent on it. ``is_last``: it takes whatever no other family of its surety
    knows.
    """

    name: str
    assurance: CardClass
    identify: Callable[[CardTrust, Presented, bytes], Dialogue | FrameDialogue]
    technology: Technology = Technology.APDU
    needs_site: bool = False
    is_last: bool = False
