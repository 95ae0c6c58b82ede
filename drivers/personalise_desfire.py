"""Makes a DESFire EV2 or EV3 a member card: application, files, keys, read back by its own keys.

The card's own key is as the factory leaves it, triple DES of zeros, or an AES transport key. Where
keys come from is left to the caller; they come as types that no terminal can make.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from drivers.apdu import Steps
from drivers.desfire.layout import (
    APPLICATION_SETTINGS,
    CHANGE_KEY,
    CREDIT_KEY,
    SITE_KEYS,
    files,
)
from drivers.desfire.purse import open_purse
from drivers.desfire.session import (
    AES_KEY,
    PICC,
    Session,
    authenticate,
    authenticate_iso,
    get_version,
    select,
)
from drivers.desfire.settings import Generation
from drivers.errors import CardForged, CardIssued, CardRefused, CardUnknown
from drivers.reader import Presented
from protocol.card_keys import ChangeKey, CreditKey, SiteKey, TransactionKey, card_input
from protocol.desfire_purse import APPLICATION, TRANSACTION_FILE, TRANSACTION_KEY, key_input

KEY_VERSION = 1  # of every key that we wrote; 0 is a key as delivered
# On the card: its key and settings may change; applications only come and go with its key.
CARD_SETTINGS = 0x09
_NEW_KEY = bytes(16)  # of a new application
_FACTORY_KEY = bytes(16)  # of a new card, triple DES


@dataclass(frozen=True, slots=True)
class CardKeys:
    """Makers of one card's keys from AN10922 input, and the site keys of the card's sites."""

    change: Callable[[bytes], ChangeKey]
    credit: Callable[[bytes], CreditKey]
    transaction: Callable[[bytes], TransactionKey]
    sites: tuple[SiteKey, ...]

    def of_application(self, uid: bytes) -> Mapping[int, bytes]:
        """Key number -> key of our application, without key 0."""
        numbers = {SITE_KEYS + site.slot: site for site in self.sites}
        keys = {n: site.read_key(key_input(uid, n)).secret for n, site in numbers.items()}
        return {CREDIT_KEY: self.credit(key_input(uid, CREDIT_KEY)).secret, **keys}


def personalise(
    transport_key: bytes,
    keys: CardKeys,
    draw: Callable[[int], bytes],
    *,
    again: bool = False,
) -> Steps[bytes]:
    """Write a blank card, read everything back; return its UID.

    ``transport_key`` (16 bytes, AES) opens the card, or else the factory's key does. The card's own
    key changes last: a card torn away is presented once more and begun anew.
    CardIssued for a finished card, unless ``again`` (its balance is then lost). ``draw(n)`` gives
    n fresh random bytes.
    """
    if not (yield from select(PICC)):
        raise CardUnknown
    version = yield from get_version()
    if version.hardware < Generation.EV2:
        raise CardRefused(0x9100, "an EV1 card cannot prove its transactions")
    own_key = keys.change(card_input(version.uid, PICC, CHANGE_KEY)).secret
    card, opened_by = yield from _open_card((transport_key, None, own_key), draw)
    if opened_by == own_key and not again:
        raise CardIssued
    yield from _make_application(card)
    yield from _write_application(version.uid, keys, draw)
    yield from _read_back(version.uid, keys, draw)
    yield from select(PICC)
    card = yield from _log_in(opened_by, draw)
    yield from card.change_key_settings(CARD_SETTINGS)
    if opened_by != own_key:
        yield from card.change_key(CHANGE_KEY | AES_KEY, own_key, KEY_VERSION)
    return version.uid


def _log_in(key: bytes | None, draw: Callable[[int], bytes]) -> Steps[Session]:
    """Return a session of the card itself under an AES key, or without one under the factory's."""
    if key is None:
        return authenticate_iso(_FACTORY_KEY, CHANGE_KEY, draw(8))
    return authenticate(key, CHANGE_KEY, draw(16))


def _open_card(
    candidates: tuple[bytes | None, ...], draw: Callable[[int], bytes]
) -> Steps[tuple[Session, bytes | None]]:
    """Return a session of the card itself, and the first of the keys that opened it.

    Cards differ in how they refuse a key of another kind: whatever they say, the next is tried.
    """
    *others, last = candidates
    for key in others:
        try:
            return (yield from _log_in(key, draw)), key
        except CardRefused:
            continue
    return (yield from _log_in(last, draw)), last


def _make_application(card: Session) -> Steps[None]:
    """Create ours; one that is there is of an unfinished or given-up life and goes first."""
    if APPLICATION in (yield from card.application_ids()):
        yield from card.delete_application(APPLICATION)
    yield from card.create_application(APPLICATION, APPLICATION_SETTINGS)


def _write_application(uid: bytes, keys: CardKeys, draw: Callable[[int], bytes]) -> Steps[None]:
    yield from select(APPLICATION)
    session = yield from authenticate(_NEW_KEY, CHANGE_KEY, draw(16))
    transaction_key = keys.transaction(key_input(uid, TRANSACTION_KEY)).secret
    for number, settings in files(site.slot for site in keys.sites).items():
        if number == TRANSACTION_FILE:
            yield from session.create_transaction_mac_file(
                number, settings, transaction_key, KEY_VERSION
            )
        else:
            yield from session.create_file(number, settings)
        if len(settings.rights) > 1:
            yield from session.change_file_settings(number, settings)
    for number, key in keys.of_application(uid).items():
        yield from session.change_key(number, key, KEY_VERSION, old=_NEW_KEY)
    change_key = keys.change(key_input(uid, CHANGE_KEY)).secret
    yield from session.change_key(CHANGE_KEY, change_key, KEY_VERSION)


def _read_back(uid: bytes, keys: CardKeys, draw: Callable[[int], bytes]) -> Steps[None]:
    """CardForged unless files and key versions are as written and every key opens what it may."""
    yield from select(APPLICATION)
    change_key = keys.change(key_input(uid, CHANGE_KEY)).secret
    session = yield from authenticate(change_key, CHANGE_KEY, draw(16))
    for number, settings in files(site.slot for site in keys.sites).items():
        if (yield from session.file_settings(number)) != settings:
            raise CardForged(f"file {number} reads back differently from what was written")
    for number, key in keys.of_application(uid).items():
        if (yield from session.get_key_version(number)) != KEY_VERSION:
            raise CardForged(f"key {number} has another version")
        yield from authenticate(key, number, draw(16))
        session = yield from authenticate(change_key, CHANGE_KEY, draw(16))
    for site in keys.sites:
        purse = yield from open_purse(site, Presented("", b"", uid), draw(16))
        if purse.balance or purse.last is None or purse.last.counter:
            raise CardForged("a new purse that is not empty")
