"""The journal's record: what one step in a terminal's life was. One type travels, and this is it.

A record is stored, sent and audited as the bytes of its COSE_Sign1 (purpose ``tl/record``), whose
payload is the Record in the encoding of protocol.codec. ``record.cddl`` describes it for others.
"""

from __future__ import annotations

from enum import IntEnum
from hashlib import sha256
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from protocol.codec import decode, decode_own, encode
from protocol.errors import TooLarge
from protocol.moment import Moment
from protocol.money import AMOUNT_MAX, QUANTITY_MAX
from protocol.signing import Purpose, Signed, SigningKey, sign, split

WIRE_VERSION = 1
# 50 lines with two rules each stay under it, and 50 usual records stay under one batch.
RECORD_BYTES_MAX = 8 * 1024
LINES_MAX = 50
# More price rules than this can never all change one line of a bundle.
RULES_ON_LINE_MAX = 16
HASH_BYTES = 32
PROOF_BYTES_MAX = 256


class Kind(IntEnum):
    """What happened. Numbers are never used again for something else."""

    SALE = 1
    TOP_UP = 2
    VOID = 3
    REFUND = 4
    EARN = 5
    REDEEM = 6
    PASS_USE = 7
    COUPON_USE = 8
    ENROL = 9
    CARD_EVENT = 10
    DECLINE = 11
    BUNDLE_ON = 12
    LIST_ON = 13
    CLOCK_STEP = 14
    OPERATOR = 15
    TAMPER = 16
    EPOCH_OPEN = 17
    GAP_DECLARED = 18


class CardClass(IntEnum):
    """How sure it is that the card is the card."""

    VALUE = 1  # a purse on the card that debits atomically
    SECURE = 2  # identity proved by a fresh signature or MAC
    UID = 3  # a number that anybody can copy: earns, never pays


class Mode(IntEnum):
    """Rung of the ladder on which the terminal decided."""

    ONLINE = 0
    OFFLINE = 1


Text = Annotated[str, Meta(max_length=64)]
Code = Annotated[str, Meta(max_length=40, pattern=r"\A[a-z0-9_.-]*\Z")]
Amount = Annotated[int, Meta(ge=0, le=AMOUNT_MAX)]
SignedAmount = Annotated[int, Meta(ge=-AMOUNT_MAX, le=AMOUNT_MAX)]
COUNT_MAX = (1 << 53) - 1
Count = Annotated[int, Meta(ge=0, le=COUNT_MAX)]
Hash = Annotated[bytes, Meta(min_length=HASH_BYTES, max_length=HASH_BYTES)]
Ident = Annotated[bytes, Meta(min_length=16, max_length=16)]


class Card(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """The card as the terminal saw it; ``reference`` is keyed and one-way."""

    reference: Ident
    family: Code
    assurance: CardClass
    counter: Count | None = None
    balance_before: SignedAmount | None = None
    balance_after: SignedAmount | None = None
    proof: Annotated[bytes, Meta(max_length=PROOF_BYTES_MAX)] = b""


class Line(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One product: ``list_price`` and ``net_price`` are of the whole line, ``rules`` the cause."""

    sku: Code
    quantity: Annotated[int, Meta(ge=1, le=QUANTITY_MAX)]
    list_price: Amount
    net_price: Amount
    rules: Annotated[tuple[Code, ...], Meta(max_length=RULES_ON_LINE_MAX)] = ()


class Tender(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """How a part was paid: ``stored_value``, ``cash`` or another method's name."""

    method: Code
    amount: Amount


class BundleRef(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """The bundle by which prices, points and tier were decided."""

    version: Count
    digest: Hash


class Record(
    Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True, gc=False
):
    """One step. Field numbers on the wire are the places here: append only, never reorder."""

    version: int = WIRE_VERSION
    tid: Ident
    terminal: Code
    epoch: Annotated[int, Meta(ge=1, lt=1 << 31)]
    seq: Annotated[int, Meta(ge=1, lt=1 << 53)]
    prev: Hash
    moment: Moment
    kind: Kind
    card: Card | None = None
    lines: Annotated[tuple[Line, ...], Meta(max_length=LINES_MAX)] = ()
    tenders: Annotated[tuple[Tender, ...], Meta(max_length=8)] = ()
    earned: Amount = 0
    spent: Amount = 0
    tier: Code = ""
    bundle: BundleRef | None = None
    list_version: Count = 0
    mode: Mode = Mode.ONLINE
    offline_left: tuple[SignedAmount, int] | None = None
    receipt: Text = ""
    refers_to: Ident | None = None
    order: Text = ""
    reason: Code = ""
    note: Annotated[str, Meta(max_length=400)] = ""

    @property
    def total(self) -> int:
        """What the tenders add up to, in minor units."""
        return sum([tender.amount for tender in self.tenders])

    def paid_by(self, method: str) -> int:
        """What the tenders of one method add up to, in minor units."""
        return sum([tender.amount for tender in self.tenders if tender.method == method])


class Sealed(NamedTuple):
    """A record with the exact bytes that were signed."""

    record: Record
    data: bytes
    hash: bytes


def record_hash(data: bytes) -> bytes:
    """SHA-256 of a record's signed bytes: what the next record carries as ``prev``."""
    return sha256(data).digest()


def seal(record: Record, key: SigningKey) -> Sealed:
    """Sign ``record``; TooLarge above RECORD_BYTES_MAX, Malformed when nobody could read it.

    What was signed can never be taken back, so it is read once before.
    """
    payload = encode(record)
    decode_own(payload, Record)
    data = sign(payload, Purpose.RECORD, key)
    if len(data) > RECORD_BYTES_MAX:
        raise TooLarge(f"record of {len(data)} bytes, at most {RECORD_BYTES_MAX}")
    return Sealed(record, data, record_hash(data))


def read(data: bytes) -> tuple[Sealed, Signed]:
    """Read a record strictly; its signature is left to protocol.chain."""
    if len(data) > RECORD_BYTES_MAX:
        raise TooLarge(f"record of {len(data)} bytes, at most {RECORD_BYTES_MAX}")
    signed = split(data)
    record = decode(signed.payload, Record)
    return Sealed(record, data, record_hash(data)), signed
