"""CPU cards with files for tests: issued ones, and dialogues held with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from os import urandom

from drivers.card import CardIdentity, CardTrust
from drivers.cards.file_card import (
    CHANGE_KEY,
    MEMBER_FILE,
    MEMBER_FILE_BYTES,
    READ_KEYS,
    Member,
    MemberKeys,
    identify,
    key_input,
    personalise,
)
from drivers.virtual.cards.file_card import FileCard
from drivers.virtual.cards.file_card_state import Access, File, FileCardState, Secret
from protocol.card_keys import ChangeKey, SiteKey, TransportKey
from tests.drivers.frame_world import ESTATE, PIER, QUAY
from tests.drivers.world import NONCE, PRESENTED, TENANT, TODAY, TRUST, DirectReader, do, serial

FILE_TRUST = replace(TRUST, site=QUAY)
SITES = (QUAY, PIER)
KEYS = MemberKeys(ESTATE.change_key, SITES)
TRANSPORT = TransportKey(bytes(range(16)))
PIN = b"4711"
PLAIN_KEY = 0x10
PLAIN_SECRET = bytes(range(50, 66))
NOTES, VISITS, LOCKED, PUBLIC = 0x03, 0x04, 0x05, 0x06


def member(number: int = 1) -> Member:
    """What the card of the n-th member says."""
    return Member(serial(number), TENANT, TODAY + 1)


def change_key(number: int = 1) -> ChangeKey:
    """What writes the n-th card."""
    return ESTATE.change_key(key_input(serial(number), CHANGE_KEY))


def file_card(
    number: int = 1, content: Member | None = None, draw: Callable[[int], bytes] = urandom
) -> FileCard:
    """A card as the issuer hands it out, with this member file."""
    written = (content or member(number)).encode().ljust(MEMBER_FILE_BYTES, b"\x00")
    keys = {CHANGE_KEY: Secret(change_key(number).secret), PLAIN_KEY: Secret(PLAIN_SECRET)}
    for site in (QUAY, PIER):
        reference = READ_KEYS + site.slot
        key = site.read_key(key_input(serial(number), reference))
        keys[reference] = Secret(key.secret)
    files = {
        MEMBER_FILE: File(b"\x00\x02", Access.SECURE, Access.CHANGE, written),
        NOTES: File(b"\x00\x03", Access.PIN, Access.KEY, bytes(32)),
        VISITS: File(b"\x00\x04", Access.ALWAYS, Access.PIN, records_max=3),
        LOCKED: File(b"\x00\x05", Access.NEVER, Access.NEVER, bytes(4)),
        PUBLIC: File(b"\x00\x06", Access.ALWAYS, Access.NEVER, b"hello"),
    }
    state = FileCardState(serial(number), files, keys, Secret(PIN))
    return FileCard(state, draw=draw)


def blank_card(number: int = 1) -> FileCard:
    """A card as it is delivered."""
    return FileCard(FileCardState.blank(serial(number), TRANSPORT.secret))


def member_of(serial_: bytes) -> Member:
    """What a card with this serial is to say."""
    return Member(serial_, TENANT, TODAY + 1)


def issue(
    reader: DirectReader,
    sites: tuple[SiteKey, ...] = SITES,
    say: Callable[[bytes], Member] = member_of,
) -> bytes:
    """Personalise the card on the reader."""
    reader.card.reset()
    return do(personalise(TRANSPORT, replace(KEYS, sites=sites), say, urandom), reader)


def ask(reader: DirectReader, trust: CardTrust = FILE_TRUST) -> CardIdentity:
    """Identify a card that was presented anew."""
    reader.card.reset()
    return do(identify(trust, PRESENTED, NONCE), reader)


def state(reader: DirectReader) -> FileCardState:
    """What the card on the reader keeps."""
    assert isinstance(reader.card, FileCard)
    return reader.card.state
