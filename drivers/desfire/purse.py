"""Our purse on a DESFire: open it, debit or credit it, and find out what became of a torn change.

Pure steps: the intent is on the terminal's disk before ``debit`` is begun, and the outcome
after it is the terminal's to keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drivers.apdu import Steps
from drivers.desfire.layout import CREDIT_KEY, PURSE_LIMIT, RECORDS_KEPT, SITE_KEYS
from drivers.desfire.session import (
    Session,
    Unsupported,
    WrongKey,
    authenticate,
    authenticate_ev1,
    get_version,
    key_version,
    select,
)
from drivers.desfire.settings import UID_BYTES
from drivers.errors import CardBlank, CardForeign, CardRefused, CardUnknown
from drivers.purse import Fate
from drivers.reader import Presented
from protocol.card_keys import CreditKey, SiteKey
from protocol.desfire_purse import (
    APPLICATION,
    PURSE_FILE,
    RECORD_BYTES,
    RECORD_FILE,
    TRANSACTION_FILE,
    Record,
    key_input,
)
from protocol.transaction_mac import COUNTER_BYTES


@dataclass(frozen=True, slots=True)
class TransactionMac:
    """The card's proof of its last commit: how many there were (TMC), and the MAC (TMV)."""

    counter: int
    mac: bytes

    @classmethod
    def parse(cls, data: bytes) -> TransactionMac:
        """Read the 12 bytes of the card."""
        return cls(int.from_bytes(data[:COUNTER_BYTES], "little"), data[COUNTER_BYTES:])

    def encode(self) -> bytes:
        """Inverse of ``parse``."""
        return self.counter.to_bytes(COUNTER_BYTES, "little") + self.mac


@dataclass(frozen=True, slots=True)
class Purse:
    """An open purse: its card is authenticated. ``last`` is None on an EV1 card, which proves none.

    ``balance`` in minor units, as committed last. ``uid`` goes no further than drivers.
    """

    session: Session
    uid: bytes
    balance: int
    last: TransactionMac | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A debit or credit of ``amount`` as it is written down before the card is told.

    ``tid`` (16 bytes) is its own, ``reader_id`` (16) the terminal's; ``counter`` and ``balance``
    are what the purse said before.
    """

    tid: bytes
    reader_id: bytes
    amount: int
    counter: int
    balance: int


@dataclass(frozen=True, slots=True)
class Changed:
    """The debit or credit happened. The cloud checks ``proof`` over ``transaction_input``.

    ``previous_reader`` (16 bytes): who committed before, enciphered; a part of that input.
    """

    proof: TransactionMac
    balance_after: int
    transaction_input: bytes
    previous_reader: bytes


def open_purse(site: SiteKey | None, presented: Presented, nonce: bytes) -> Steps[Purse]:
    """SELECT, AuthenticateEV2First, GetValue, ReadData of the transaction file: 5 APDUs.

    Three more (GetVersion) where the reader does not tell the card's 7-byte UID. CardUnknown
    without our application, CardForeign without a key for it, CardBlank when it was never issued.
    """
    if not (yield from select(APPLICATION)):
        raise CardUnknown
    if site is None:
        raise CardForeign("this terminal has no site key")
    uid = presented.uid
    if uid is None or len(uid) != UID_BYTES:
        uid = (yield from get_version()).uid
    number = SITE_KEYS + site.slot
    key = site.read_key(key_input(uid, number)).secret
    try:
        session = yield from authenticate(key, number, nonce)
    except Unsupported:
        session = yield from _authenticate_old(key, number, nonce)
        return Purse(session, uid, (yield from session.get_value(PURSE_FILE)), None)
    except WrongKey as error:
        raise (yield from _not_ours(number)) from error
    balance = yield from session.get_value(PURSE_FILE)
    last = yield from session.read_transaction_mac(TRANSACTION_FILE)
    return Purse(session, uid, balance, TransactionMac.parse(last))


def _authenticate_old(key: bytes, number: int, nonce: bytes) -> Steps[Session]:
    try:
        return (yield from authenticate_ev1(key, number, nonce))
    except WrongKey as error:
        raise (yield from _not_ours(number)) from error


def _not_ours(number: int) -> Steps[CardBlank | CardForeign]:
    """Why our key does not fit: the place never got one, or another tenant's."""
    try:
        version = yield from key_version(number)
    except CardRefused:
        return CardForeign("another key")
    return CardForeign("another key") if version else CardBlank("no key of this site")


def debit(purse: Purse, intent: Intent) -> Steps[Changed]:
    """WriteRecord, Debit, CommitReaderID, CommitTransaction: 4 APDUs, nothing before the last.

    ValueError for an amount that the purse does not hold, or an intent from another state of it;
    CardRefused on an EV1 card. After any other error only ``fate`` tells what became of it.
    """
    _check(purse, intent)
    if intent.amount > purse.balance:
        raise ValueError("the purse does not hold the amount")
    change = purse.session.debit(PURSE_FILE, intent.amount)
    return (yield from _transact(purse.session, change, intent, intent.balance - intent.amount))


def credit(purse: Purse, key: CreditKey, intent: Intent, nonce: bytes) -> Steps[Changed]:
    """As ``debit``, the other way, after AuthenticateEV2NonFirst with the key that may: 6 APDUs."""
    _check(purse, intent)
    if intent.balance + intent.amount > PURSE_LIMIT:
        raise ValueError("the purse cannot hold the amount")
    session = yield from authenticate(key.secret, CREDIT_KEY, nonce, purse.session)
    change = session.credit(PURSE_FILE, intent.amount)
    return (yield from _transact(session, change, intent, intent.balance + intent.amount))


def _check(purse: Purse, intent: Intent) -> None:
    if purse.last is None:
        raise CardRefused(0x9100, "an EV1 card proves no transaction")
    if (intent.counter, intent.balance) != (purse.last.counter, purse.balance):
        raise ValueError("the intent is about another state of the purse")
    if intent.amount <= 0:
        raise ValueError("the amount must be positive")


def _transact(
    session: Session, change: Steps[None], intent: Intent, balance_after: int
) -> Steps[Changed]:
    """Record and ``change`` together: each has a record, so that counter and records agree."""
    yield from session.write_record(RECORD_FILE, Record(intent.tid, intent.reader_id).encode())
    yield from change
    previous = yield from session.commit_reader_id(intent.reader_id)
    proof = TransactionMac.parse((yield from session.commit_with_mac()))
    if proof.counter != intent.counter + 1:
        raise CardRefused(0x9100, f"the card counted to {proof.counter}")
    return Changed(proof, balance_after, session.transaction_input, previous)


def resolve(intent: Intent, counter: int, records: Sequence[Record]) -> Fate:
    """Decide from the card's state; ``records`` are its newest ones.

    NOT_MOVED only when they reach back to the intent. A counter below the intent's is that of a
    card that was issued again.
    """
    if any(record.tid == intent.tid for record in records):
        return Fate.MOVED
    covered = 0 <= counter - intent.counter <= len(records)
    return Fate.NOT_MOVED if covered else Fate.UNKNOWN


def fate(purse: Purse, intent: Intent) -> Steps[Fate]:
    """Look what became of an earlier intent: no APDU when the card counted nothing since, else one.

    The caller has made sure that this is the card of the intent.
    """
    if purse.last is None:
        return Fate.UNKNOWN
    since = purse.last.counter - intent.counter
    if since <= 0:
        return resolve(intent, purse.last.counter, ())
    count = min(since, RECORDS_KEPT)
    read = yield from purse.session.read_records(RECORD_FILE, count, RECORD_BYTES)
    return resolve(intent, purse.last.counter, tuple(map(Record.parse, read)))
