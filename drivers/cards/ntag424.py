"""Card family: NTAG 424 DNA with a key of the site, in AES or LRP mode.

It proves itself by EV2 authentication, and its read counter comes under a MAC. A tag that is made
to wait after wrong attempts of somebody else (91AD) still writes its SUN message: that may be a
copy as long as nobody keeps its counter, so it counts as a number. Writing one is ``personalise``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import NamedTuple

from drivers.apdu import CommandApdu, ResponseApdu, refused
from drivers.card import CardIdentity, CardKind, CardTrust, Dialogue
from drivers.errors import CardForeign, CardForged, CardIssued, CardRefused, CardUnknown
from drivers.reader import Presented
from drivers.secure_channel import ev2, lrp_messaging
from drivers.secure_channel.channel import CommunicationMode
from drivers.secure_channel.ev2 import Session
from protocol.card_keys import ChangeKey, SiteKey, card_input
from protocol.credential import card_reference
from protocol.errors import SunRefused
from protocol.record import CardClass
from protocol.sun import UID_BYTES, SunMode
from protocol.sun_link import (
    APPLICATION,
    FILE_BYTES,
    FILE_SLOT,
    LABEL_BYTES,
    META_SLOT,
    SunTemplate,
    file_key,
    link_in,
    meta_key,
    parse,
)

FAMILY = "ntag424"
DF_NAME = bytes.fromhex("D2760000850101")  # of the NDEF application (NFC Forum Type 4 Tag)
NDEF_FILE, NDEF_FILE_ID = 2, b"\xe1\x04"
# Key slots. All but the first come from the site's key, so a stolen terminal costs one site.
# Slots 2 and 3 are those of its message (protocol.sun_link).
CHANGE_SLOT, READ_SLOT, SPARE_SLOT = 0, 1, 4
KEY_VERSION = 1
FACTORY_KEY = bytes(16)

_OK, _MORE, _WAIT, _WRONG_KEY = 0x9100, 0x91AF, 0x91AD, 0x91AE
_GET_VERSION, _CONTINUE, _GET_COUNTERS = 0x60, 0xAF, 0xF6
_CHANGE_KEY, _GET_KEY_VERSION, _CHANGE_FILE, _CONFIGURE = 0xC4, 0x64, 0x5F, 0x5C
_GET_FILE, _READ_DATA, _WRITE_DATA = 0xF5, 0xAD, 0x8D
_COUNTER_BYTES = 3
_UID_AT_END = 0, UID_BYTES  # of the third part of GetVersion
_LRP_FOR_GOOD = 0x05, bytes.fromhex("00000000020000000000")  # SetConfiguration: PDCap2.1 = 02
_PIECE = 128  # of a write: stays in one frame of 256 bytes with everything around it

FULL, MAC, PLAIN = CommunicationMode.FULL, CommunicationMode.MAC, CommunicationMode.PLAIN


class Opened(NamedTuple):
    """An authenticated session, its mode, and what was said to get there."""

    session: Session
    mode: SunMode
    proof: bytes


@dataclass(frozen=True, slots=True)
class TagKeys:
    """The five keys of one tag; the terminal's trust holds none but those of its site."""

    change: ChangeKey
    spare: ChangeKey
    site: SiteKey = field(repr=False)

    def slots(self, uid: bytes) -> tuple[bytes, ...]:
        """Key values by slot."""
        sites = (read_key(self.site, uid), file_key(self.site, uid), meta_key(self.site))
        return (self.change.secret, *sites, self.spare.secret)


def read_key(site: SiteKey, uid: bytes) -> bytes:
    """The key with which a site's terminals authenticate."""
    return site.read_key(card_input(uid, APPLICATION, READ_SLOT)).secret


def identify(trust: CardTrust, presented: Presented, nonce: bytes) -> Dialogue:
    """SELECT, AuthenticateEV2First in two parts, GetFileCounters; three more without a UID.

    An LRP tag costs one more. ``proof``: nonce (16), first and second answer of the authentication;
    of a SUN message the link itself.
    """
    yield from _select()
    if trust.site is None:
        raise CardForeign("no key of a site on this terminal")
    uid = presented.uid or b""
    if len(uid) != UID_BYTES:
        uid = yield from read_uid()
    opened = yield from authenticate(READ_SLOT, read_key(trust.site, uid), nonce)
    if opened is None:
        return (yield from identify_by_sun(trust, uid))
    counter = yield from _protected(opened.session, _GET_COUNTERS, bytes((NDEF_FILE,)), FULL)
    if len(counter) < _COUNTER_BYTES:
        raise CardRefused(_OK, "the read counter is cut off")
    return CardIdentity(
        family=FAMILY,
        assurance=CardClass.SECURE,
        reference=card_reference(trust.reference_key, FAMILY, uid),
        counter=int.from_bytes(counter[:_COUNTER_BYTES], "little"),
        proof=nonce + opened.proof,
    )


def identify_by_sun(trust: CardTrust, uid: bytes) -> Dialogue:
    """Read the NDEF file and verify its message: ISO SELECT and READ BINARY, nobody authenticated.

    The class is UID: whoever read the tag before may play its messages back.
    """
    if trust.site is None:
        raise CardForeign("no key of a site on this terminal")
    text = yield from read_link()
    try:
        link = parse(text)
        picc = link.open(meta_key(trust.site))
        label = link.check(picc, file_key(trust.site, picc.uid))
    except SunRefused as error:
        raise CardForged(f"its message: {error.detail}") from error
    if picc.uid != uid:
        raise CardForged("a message of another tag")
    if (link.site, label) != (trust.site.site, trust.tenant[:LABEL_BYTES]):
        raise CardForeign
    return CardIdentity(
        family=FAMILY,
        assurance=CardClass.UID,
        reference=card_reference(trust.reference_key, FAMILY, picc.uid),
        counter=picc.counter,
        proof=link.window + link.mac.hex().encode(),
    )


def read_link() -> Generator[CommandApdu, ResponseApdu, bytes]:
    """Return the link that the tag writes for this very read; the application is selected."""
    response = yield CommandApdu(0x00, 0xA4, 0x00, 0x0C, NDEF_FILE_ID)
    if not response.ok:
        raise refused(response, "select the NDEF file")
    response = yield CommandApdu(0x00, 0xB0, 0x00, 0x00, ne=FILE_BYTES)
    if not response.ok:
        raise refused(response, "read the NDEF file")
    try:
        return link_in(response.data)
    except SunRefused as error:
        raise CardForged("no message in the tag's file") from error


def read_uid() -> Generator[CommandApdu, ResponseApdu, bytes]:
    """GetVersion: for readers that tell no UID. Not proved before an authentication."""
    for ins in (_GET_VERSION, _CONTINUE):
        response = yield _native(ins)
        if response.sw != _MORE:
            raise CardUnknown("no tag of NXP")
    response = yield _native(_CONTINUE)
    uid = response.data[slice(*_UID_AT_END)]
    if response.sw != _OK or len(uid) != UID_BYTES:
        raise CardUnknown("a version without UID")
    return uid


def authenticate(
    slot: int, key: bytes, nonce: bytes
) -> Generator[CommandApdu, ResponseApdu, Opened | None]:
    """AuthenticateEV2First in the tag's mode; None while the tag makes everybody wait (91AD).

    CardUnknown when it cannot, CardForeign when it has another key in this slot.
    """
    response = yield _native(ev2.FIRST, ev2.first_request(slot))
    mode = SunMode.AES
    if response.sw not in (_MORE, _WAIT):
        ask = ev2.first_request(slot, lrp_messaging.READER_CAPABILITIES)
        response = yield _native(ev2.FIRST, ask)
        mode = SunMode.LRP
    if response.sw == _WAIT:
        return None
    if response.sw != _MORE:
        raise CardUnknown("no tag that authenticates")
    scheme = ev2 if mode is SunMode.AES else lrp_messaging
    half = scheme.ReaderAuthentication(key, response.data, nonce)
    answer = yield _native(_CONTINUE, half.token)
    if answer.sw == _WRONG_KEY:
        raise CardForeign("a key of somebody else")
    if answer.sw != _OK:
        raise refused(answer, "authenticate")
    session, _ = half.first(answer.data)
    return Opened(session, mode, response.data + answer.data)


def _select() -> Generator[CommandApdu, ResponseApdu, None]:
    response = yield CommandApdu(0x00, 0xA4, 0x04, 0x00, DF_NAME, ne=256)
    if not response.ok:
        raise CardUnknown


def _native(ins: int, payload: bytes = b"") -> CommandApdu:
    return CommandApdu(0x90, ins, 0x00, 0x00, payload, ne=256)


def _protected(
    session: Session,
    ins: int,
    header: bytes,
    mode: CommunicationMode,
    data: bytes = b"",
    *,
    answered: CommunicationMode | None = None,
) -> Generator[CommandApdu, ResponseApdu, bytes]:
    """One exchange of a session; ``answered`` where the answer is protected in another way."""
    response = yield _native(ins, session.reader_wrap(ins, header, data, mode=mode))
    if response.sw != _OK:
        raise refused(response, f"command {ins:02X}")
    return session.reader_unwrap(response.data, mode=answered or mode)


Steps = Generator[CommandApdu, ResponseApdu, None]


def find_uid() -> Generator[CommandApdu, ResponseApdu, bytes]:
    """Return the UID of a tag whose keys are not known yet: SELECT and GetVersion."""
    yield from _select()
    return (yield from read_uid())


def personalise(
    keys: TagKeys,
    layout: Callable[[SunMode], SunTemplate],
    nonce: Callable[[], bytes],
    *,
    lrp: bool = False,
) -> Generator[CommandApdu, ResponseApdu, bytes]:
    """Give a blank tag its keys, file and settings; read all back; return its UID.

    The change key comes last, and each key's version says whether it is there already: a tag torn
    away at any point is presented again and gets what it lacks. CardIssued for a finished tag:
    new settings would set its read counter back, and the cloud takes no count twice. ``lrp``
    cannot be taken back: a tag in LRP mode stays there, asked for or not, and a tag that was
    finished in AES mode is CardRefused. ``layout`` gives the file for a mode.
    """
    yield from _select()
    uid = yield from read_uid()
    slots = keys.slots(uid)
    opened = yield from _open_to_change(slots[CHANGE_SLOT], nonce, lrp=lrp)
    mode = SunMode.LRP if lrp else opened.mode
    template = layout(mode)  # what cannot be laid out is found before AES mode is left for good
    if opened.mode is not mode:
        yield from _leave_aes(opened.session)
        opened = yield from _open_to_change(slots[CHANGE_SLOT], nonce, lrp=lrp)
        if opened.mode is not mode:
            raise CardRefused(_OK, "the tag says that it is in LRP mode, and is not")
    session = opened.session
    for slot in range(1, len(slots)):
        yield from _put_key(session, slot, slots[slot])
    yield from _write_file(session, template)
    yield from _set_file(session, template)
    yield from _put_change_key(session, slots[CHANGE_SLOT])
    return uid


def _leave_aes(session: Session) -> Steps:
    """Switch to LRP mode for good (NT4H2421Gx, 10.5.1).

    The session is over with it. Real tags answer without a MAC; AN12321 shows one. Neither is
    believed: the next authentication tells the mode.
    """
    option, data = _LRP_FOR_GOOD
    yield from _protected(session, _CONFIGURE, bytes((option,)), FULL, data, answered=PLAIN)
    yield from _select()


def _open_to_change(
    own: bytes, nonce: Callable[[], bytes], *, lrp: bool
) -> Generator[CommandApdu, ResponseApdu, Opened]:
    """Authenticate with the factory's change key; a tag that has our ``own`` is finished."""
    for key in (FACTORY_KEY, own):
        try:
            opened = yield from authenticate(CHANGE_SLOT, key, nonce())
        except CardForeign:
            continue
        if opened is None:
            raise CardRefused(_WAIT, "the tag makes everybody wait after wrong attempts")
        if key == FACTORY_KEY:
            return opened
        if lrp and opened.mode is SunMode.AES:
            raise CardRefused(_OK, "it was finished in AES mode, where it stays: take a new tag")
        raise CardIssued
    raise CardForeign("its change key is neither the factory's nor ours")


def _put_key(session: Session, slot: int, key: bytes) -> Steps:
    version = yield from _protected(session, _GET_KEY_VERSION, bytes((slot,)), MAC)
    if version != bytes((KEY_VERSION,)):
        data = ev2.new_key_data(key, KEY_VERSION, FACTORY_KEY)
        yield from _protected(session, _CHANGE_KEY, bytes((slot,)), FULL, data)


def _put_change_key(session: Session, key: bytes) -> Steps:
    """The key of the session itself: the answer has no MAC, and the session is over."""
    data = ev2.new_key_data(key, KEY_VERSION)
    header = bytes((CHANGE_SLOT,))
    yield from _protected(session, _CHANGE_KEY, header, FULL, data, answered=PLAIN)


def _write_file(session: Session, template: SunTemplate) -> Steps:
    for at in range(0, len(template.file), _PIECE):
        piece = template.file[at : at + _PIECE]
        yield from _protected(session, _WRITE_DATA, _span(at, len(piece)), PLAIN, piece)
    read = b""
    while len(read) < len(template.file):
        length = min(_PIECE, len(template.file) - len(read))
        piece = yield from _protected(session, _READ_DATA, _span(len(read), length), PLAIN)
        if len(piece) != length:
            raise CardRefused(_OK, f"{len(piece)} bytes instead of {length}")
        read += piece
    if read != template.file:
        raise CardForged("the file reads back differently from what was written")


def _span(at: int, length: int) -> bytes:
    return bytes((NDEF_FILE,)) + at.to_bytes(3, "little") + length.to_bytes(3, "little")


def file_settings(template: SunTemplate) -> bytes:
    """Data of ChangeFileSettings (NT4H2421Gx, 10.7.1): SDM on, read free, change by slot 0.

    SDM mirrors UID, counter and enciphered file data in ASCII; the counter may be asked for with
    the site's read key.
    """
    offsets = (
        template.picc_at,
        template.window_at,
        template.encrypted_at,
        template.encrypted_length,
        template.mac_at,
    )
    rights = bytes((CHANGE_SLOT << 4 | CHANGE_SLOT, 0xE0 | CHANGE_SLOT))
    sdm_rights = bytes((0xF0 | READ_SLOT, META_SLOT << 4 | FILE_SLOT))
    places = b"".join(offset.to_bytes(3, "little") for offset in offsets)
    return b"\x40" + rights + b"\xd1" + sdm_rights + places


def _set_file(session: Session, template: SunTemplate) -> Steps:
    """Change the settings and read them back: file type and size stand around the access rights."""
    wanted = file_settings(template)
    yield from _protected(session, _CHANGE_FILE, bytes((NDEF_FILE,)), FULL, wanted)
    there = yield from _protected(session, _GET_FILE, bytes((NDEF_FILE,)), MAC)
    size = FILE_BYTES.to_bytes(3, "little")
    if there != b"\x00" + wanted[:3] + size + wanted[3:]:
        raise CardForged("the settings read back differently from what was written")


CARD = CardKind(name=FAMILY, assurance=CardClass.SECURE, identify=identify, needs_site=True)
