"""Card family: a CPU card with files (ISO/IEC 7816-4) whose member file is read under a key.

Mutual authentication with 3DES and secure messaging with the retail MAC, as ICAO Doc 9303 pins them
down. Whoever has a site's key can also make a card for that site: one that signs (cpu) is safer.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from drivers import tlv
from drivers.apdu import CommandApdu, ResponseApdu, refused
from drivers.card import NONCE_BYTES, CardIdentity, CardKind, CardTrust, Dialogue
from drivers.errors import CardExpired, CardForeign, CardForged, CardRefused, CardUnknown
from drivers.iso7816 import (
    change_reference_data,
    external_authenticate,
    get_challenge,
    read_binary,
    select_name,
    tries_left,
    update_binary,
)
from drivers.reader import Presented
from drivers.secure_channel import retail_mac
from drivers.secure_channel.retail_mac import RANDOM_BYTES, TOKEN_BYTES, Session
from protocol.card_keys import ChangeKey, ReadKey, SiteKey, TransportKey, card_input, diversify
from protocol.credential import card_reference
from protocol.record import CardClass

FAMILY = "file_card"
APPLICATION = bytes.fromhex("F0544C46494C4501")
MEMBER_FILE = 0x02
MEMBER_FILE_BYTES = 128
SERIAL_BYTES = 16
# Key references; the site's slot is added to the second.
CHANGE_KEY, READ_KEYS = 0x01, 0x02

_KEY_INPUT_LABEL = b"TLF"
_NO_SUCH_KEY = 0x6A88
_SERIAL, _TENANT, _EXPIRES = 0x5A, 0x50, 0x5F24

Outcome = TypeVar("Outcome")
Steps = Generator[CommandApdu, ResponseApdu, Outcome]


class Member(NamedTuple):
    """The member file: whose card it is, and its last day, counted from 1970-01-01."""

    serial: bytes
    tenant: str
    expires_day: int

    def encode(self) -> bytes:
        """A length byte and the data objects; ValueError when they do not fit the file."""
        body = tlv.encode(_SERIAL, self.serial) + tlv.encode(_TENANT, self.tenant.encode())
        body += tlv.encode(_EXPIRES, self.expires_day.to_bytes(4, "big"))
        if len(body) >= MEMBER_FILE_BYTES:
            raise ValueError("a member file has one byte of length and less than 128 bytes")
        return bytes((len(body),)) + body

    @classmethod
    def decode(cls, data: bytes) -> Member:
        """CardRefused when it is none."""
        try:
            said = tlv.parse(data[1 : 1 + data[0]])
            expires = int.from_bytes(said[_EXPIRES], "big")
            return cls(said[_SERIAL], said[_TENANT].decode(), expires)
        except (tlv.TlvError, KeyError, IndexError, UnicodeDecodeError) as error:
            raise CardRefused(0x9000, "not a member file") from error


class Opened(NamedTuple):
    """A card that proved itself; what it and the terminal said is ``proof``."""

    session: Session
    proof: bytes


def key_input(serial: bytes, reference: int) -> bytes:
    """AN10922 input of one key of one card: 16 bytes of serial leave room for this alone."""
    return card_input(serial, _KEY_INPUT_LABEL, reference)


def select() -> Steps[bytes]:
    """SELECT; return the card's serial. CardUnknown without our application."""
    response = yield select_name(APPLICATION)
    if not response.ok:
        raise CardUnknown
    try:
        serial = tlv.parse(tlv.parse(tlv.parse(response.data)[0x6F])[0xA5])[0x82]
    except (tlv.TlvError, KeyError) as error:
        raise CardUnknown("the application does not describe itself as ours does") from error
    if len(serial) != SERIAL_BYTES:
        raise CardUnknown("a serial of another length")
    return serial


def open_session(
    key: ReadKey | ChangeKey | TransportKey, reference: int, nonce: bytes
) -> Steps[Opened]:
    """GET CHALLENGE and MUTUAL AUTHENTICATE: 2 APDUs.

    ``nonce`` has 16 fresh bytes: 8 are the terminal's random, and all of them under the key are
    its share of the session keys. CardForeign when the card has no such key or another one.
    """
    response = yield get_challenge(RANDOM_BYTES)
    if not response.ok or len(response.data) != RANDOM_BYTES:
        raise refused(response, "GET CHALLENGE")
    challenge, mine = response.data, nonce[:RANDOM_BYTES]
    share = diversify(key.secret, nonce)
    keys = retail_mac.derive_keys(key.secret)
    token = retail_mac.seal_token(keys, mine, challenge, share)
    response = yield external_authenticate(reference, token, answer=TOKEN_BYTES)
    if response.sw == _NO_SUCH_KEY or tries_left(response):
        raise CardForeign("another key")
    if not response.ok:
        raise refused(response, "MUTUAL AUTHENTICATE")
    theirs = retail_mac.open_token(keys, response.data, mine, challenge)
    session = Session.agree(mine, challenge, share, theirs)
    return Opened(session, mine + challenge + token + response.data)


def say(session: Session, command: CommandApdu, step: str) -> Steps[bytes]:
    """Send a command that must succeed under secure messaging; return the plain answer."""
    response = session.open((yield session.protect(command)))
    if not response.ok:
        raise refused(response, step)
    return response.data


def identify(trust: CardTrust, _presented: Presented, nonce: bytes) -> Dialogue:
    """SELECT, GET CHALLENGE, MUTUAL AUTHENTICATE, READ BINARY under secure messaging: 4 APDUs.

    ``proof``: both randoms (8 each) and both tokens (40 each), the terminal's first.
    """
    serial = yield from select()
    if trust.site is None:
        raise CardForeign("this terminal has no site key")
    reference = READ_KEYS + trust.site.slot
    key = trust.site.read_key(key_input(serial, reference))
    opened = yield from open_session(key, reference, nonce)
    command = read_binary(MEMBER_FILE, MEMBER_FILE_BYTES)
    member = Member.decode((yield from say(opened.session, command, "read the member file")))
    if member.serial != serial:
        raise CardForged("the member file of another card")
    if member.tenant != trust.tenant:
        raise CardForeign
    if trust.day > member.expires_day:
        raise CardExpired
    return CardIdentity(
        family=FAMILY,
        assurance=CardClass.SECURE,
        reference=card_reference(trust.reference_key, FAMILY, serial),
        proof=opened.proof,
    )


@dataclass(frozen=True, slots=True)
class MemberKeys:
    """Maker of one card's change key from AN10922 input, and the site keys that it shall have."""

    change: Callable[[bytes], ChangeKey]
    sites: tuple[SiteKey, ...]


def personalise(
    transport: TransportKey,
    keys: MemberKeys,
    member: Callable[[bytes], Member],
    draw: Callable[[int], bytes],
) -> Steps[bytes]:
    """Write keys and member file (``member`` of the serial), read it back; return the serial.

    The change key comes last and each step may be done again: a card torn away anywhere, and one
    that shall know one more site, is presented once more. ``draw(n)`` gives n fresh random bytes.
    CardForeign when the card opens with neither ``transport`` nor its change key.
    """
    serial = yield from select()
    own = keys.change(key_input(serial, CHANGE_KEY))
    try:  # first the key with which a card in use counts no wrong try
        opened = yield from open_session(own, CHANGE_KEY, draw(NONCE_BYTES))
    except CardForeign:
        opened = yield from open_session(transport, CHANGE_KEY, draw(NONCE_BYTES))
    session = opened.session
    for site in keys.sites:
        reference = READ_KEYS + site.slot
        key = site.read_key(key_input(serial, reference)).secret
        yield from say(session, change_reference_data(reference, key), "take a site's key")
    written = member(serial)
    content = written.encode()
    yield from say(session, update_binary(MEMBER_FILE, content), "write the member file")
    command = read_binary(MEMBER_FILE, MEMBER_FILE_BYTES)
    if Member.decode((yield from say(session, command, "read it back"))) != written:
        raise CardForged("the member file reads back differently from what was written")
    last = change_reference_data(CHANGE_KEY, own.secret)
    yield from say(session, last, "take its change key")
    return serial


CARD = CardKind(name=FAMILY, assurance=CardClass.SECURE, identify=identify, needs_site=True)
