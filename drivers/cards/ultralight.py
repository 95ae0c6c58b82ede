"""Card family: MIFARE Ultralight AES and Ultralight C with a key of the site.

An Ultralight AES proves itself by mutual authentication and an answer under CMAC. An Ultralight C
authenticates too, but its key can be taken out of it (eprint 2026/100) and nothing it says after is
protected: it stays a number. A card that accepts no key of this site is left to the next family.
"""

from __future__ import annotations

import hmac
from collections.abc import Generator
from enum import Enum

from drivers.card import CardIdentity, CardKind, CardTrust, FrameDialogue
from drivers.errors import CardForged, CardRefused, CardUnknown
from drivers.reader import Presented, Technology
from drivers.secure_channel.ultralight import (
    AES_RANDOM_BYTES,
    C_RANDOM_BYTES,
    CONTINUE,
    ReaderAuthentication,
    Session,
    aes_cipher,
    c_cipher,
    request,
    session_mac_key,
    stored_key,
)
from protocol.card_keys import ReadKey, SiteKey, card_input
from protocol.credential import card_reference
from protocol.record import CardClass

FAMILY = "ultralight"
APPLICATION = b"TLU"  # names our use in the input of AN10922; the card itself has no applications
DATA_KEY = 0  # DataProtKey of the AES card, the one key of the C card
UID_BYTES = 7
PAGE_BYTES = 4
PAGES_READ = 4  # by one READ

VERSION_BYTES = 8

_GET_VERSION, _READ, _WRITE, _ACK = b"\x60", b"\x30", b"\xa2", b"\x0a"
_FIRST_PROTECTED_PAGE = 0x04  # behind UID, lock bytes and OTP
# MF0AES(H)20: CFG0 holds SEC_MSG_ACT (02) and AUTH0, CFG1 begins with PROT (writes only: 00) and
# ends with AUTHLIM, here 256 wrong attempts. The key is stored least significant byte first.
_AES_CONFIG_0, _AES_CONFIG_1, _AES_KEY_PAGE = 0x29, 0x2A, 0x30
_SEC_MSG_ACT, _AUTHLIM_256 = 0x02, b"\x00\x00\x00\x01"
# MF0ICU2: AUTH0, AUTH1 (01: writes only) and the key in four pages.
_C_AUTH0, _C_AUTH1, _C_KEY_PAGE = 0x2A, 0x2B, 0x2C

Frames = Generator[bytes, bytes, None]


class Chip(Enum):
    """Which of the two it is, by the length of its challenge."""

    AES = len(CONTINUE) + AES_RANDOM_BYTES
    C = len(CONTINUE) + C_RANDOM_BYTES


def card_key(site: SiteKey, uid: bytes) -> ReadKey:
    """Return the key of one card at ``site``; an Ultralight C uses it as two DES keys."""
    return site.read_key(card_input(uid, APPLICATION, DATA_KEY))


def identify(trust: CardTrust, presented: Presented, nonce: bytes) -> FrameDialogue:
    """AUTHENTICATE in two frames, and for the AES card READ of its UID under CMAC.

    ``proof``: nonce (16), challenge frame, answer frame, and for AES the protected UID pages (24).
    """
    uid = presented.uid or b""
    if trust.site is None or len(uid) != UID_BYTES:
        raise CardUnknown("no key for this card")
    challenge = yield request(DATA_KEY)
    chip = next((chip for chip in Chip if chip.value == len(challenge)), None)
    if chip is None or challenge[:1] != CONTINUE:
        raise CardUnknown("no card that authenticates")
    key = card_key(trust.site, uid).secret
    if chip is Chip.AES:
        authentication = ReaderAuthentication(aes_cipher(key), challenge, nonce)
    else:
        authentication = ReaderAuthentication(c_cipher(key), challenge, nonce[:C_RANDOM_BYTES])
    answer = yield authentication.frame
    if len(answer) == len(_ACK):
        raise CardUnknown("a key of somebody else")
    authentication.check(answer)
    proof = nonce + challenge + answer
    if chip is Chip.AES:
        session = Session(session_mac_key(key, nonce, authentication.rnd_b))
        proof += yield from _read_own_uid(session, uid)
    return CardIdentity(
        family=FAMILY,
        assurance=CardClass.SECURE if chip is Chip.AES else CardClass.UID,
        reference=card_reference(trust.reference_key, FAMILY, uid),
        proof=proof,
    )


def _read_own_uid(session: Session, uid: bytes) -> Generator[bytes, bytes, bytes]:
    """Return the card's protected answer; ChannelBroken from a card that leaves out its MAC."""
    protected = yield session.wrap(_READ + b"\x00")
    pages = session.unwrap(protected)
    if len(pages) != PAGES_READ * PAGE_BYTES:
        raise CardRefused(0, f"{len(pages)} bytes of pages")
    if not hmac.compare_digest(pages[:3] + pages[4:8], uid):
        raise CardForged("another UID than the reader saw")
    return protected


def is_aes() -> Generator[bytes, bytes, bool]:
    """GET_VERSION: whether the card is an Ultralight AES; a C refuses and falls silent."""
    return len((yield _GET_VERSION)) == VERSION_BYTES


def personalise(chip: Chip, key: ReadKey) -> Frames:
    """Give a blank card its key; what follows is selecting it anew and ``identify``.

    The page that makes the key count is the last one written: a card torn away before it still
    takes all of this again, and one torn away after it is what ``identify`` knows. A card that is
    issued already refuses (CardRefused) and stays as it is.
    """
    for page, data in _pages(chip, key.secret):
        answer = yield _WRITE + bytes((page,)) + data
        if answer != _ACK:
            raise CardRefused(0, f"write page {page:02X}: {answer.hex()}")


def _pages(chip: Chip, key: bytes) -> list[tuple[int, bytes]]:
    first = bytes((_FIRST_PROTECTED_PAGE, 0, 0, 0))
    if chip is Chip.C:
        return [
            *_cut(_C_KEY_PAGE, stored_key(key)),
            (_C_AUTH1, b"\x01\x00\x00\x00"),
            (_C_AUTH0, first),
        ]
    return [
        *_cut(_AES_KEY_PAGE, key[::-1]),
        (_AES_CONFIG_1, _AUTHLIM_256),
        (_AES_CONFIG_0, bytes((_SEC_MSG_ACT, 0, 0, _FIRST_PROTECTED_PAGE))),
    ]


def _cut(first: int, data: bytes) -> list[tuple[int, bytes]]:
    return [
        (first + at // PAGE_BYTES, data[at : at + PAGE_BYTES])
        for at in range(0, len(data), PAGE_BYTES)
    ]


CARD = CardKind(
    name=FAMILY,
    assurance=CardClass.SECURE,
    identify=identify,
    technology=Technology.TYPE_2,
    needs_site=True,
)
