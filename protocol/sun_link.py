"""The link that our tags write into: how its NDEF file is laid out, and how a link is read.

``https://HOST/PATH?s=SITE&p=PICCENCDATA&e=ENCFILEDATA&m=MAC``. The MAC covers all from the site to
``&m=``. Its keys come from the site's. What it proves is protocol.sun's business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from protocol.card_keys import SiteKey, card_input
from protocol.errors import SunRefused
from protocol.sun import (
    AES_PICC_BYTES,
    LRP_PICC_BYTES,
    MAC_BYTES,
    PiccData,
    SunMode,
    open_file,
    open_picc,
    verify,
)

# Stands for the NDEF application in the input of AN10922, and the slots of a message's two keys.
APPLICATION = b"NDE"
FILE_SLOT, META_SLOT = 2, 3
LABEL_BYTES = 16  # what is enciphered: whose card it is, padded with spaces
FILE_BYTES = 256  # of the NDEF file of an NTAG 424 DNA

_LINK = re.compile(
    rb"[?&]s=(?P<site>[A-Za-z0-9._-]{1,32})"
    rb"&p=(?P<picc>[0-9A-Fa-f]{32}(?:[0-9A-Fa-f]{16})?)"
    rb"&e=(?P<file>[0-9A-Fa-f]{32})&m=(?P<mac>[0-9A-Fa-f]{16})\Z"
)
# One short record, well-known type U; 04 stands for "https://" (NFC Forum URI, table 3).
_RECORD, _TYPE, _HTTPS = 0xD1, b"U", b"\x04"
_SCHEME = "https://"
_LENGTH_BYTES = 2  # NLEN of a Type 4 tag's file


def file_key(site: SiteKey, uid: bytes) -> bytes:
    """SDMFileReadKey: under it the tag proves its message."""
    return site.read_key(card_input(uid, APPLICATION, FILE_SLOT)).secret


def meta_key(site: SiteKey) -> bytes:
    """SDMMetaReadKey: the same on all tags of a site, since it must open which tag speaks."""
    return site.read_key(card_input(b"", APPLICATION, META_SLOT)).secret


@dataclass(frozen=True, slots=True)
class SunLink:
    """A link taken apart; nothing of it is proved before ``check``."""

    site: str
    picc: bytes
    file: bytes
    mac: bytes
    window: bytes

    def open(self, meta_key: bytes) -> PiccData:
        """Which tag says this; SunRefused without UID and counter."""
        picc = open_picc(meta_key, self.picc)
        if not picc.uid or picc.counter is None:
            raise SunRefused("our tags mirror UID and counter")
        return picc

    def check(self, picc: PiccData, file_key: bytes) -> str:
        """Return the label; SunRefused unless the tag with ``file_key`` wrote this."""
        verify(picc, file_key, self.window, self.mac)
        return open_file(picc, file_key, self.file).decode("ascii", "replace").rstrip()


@dataclass(frozen=True, slots=True)
class SunTemplate:
    """The NDEF file of a blank tag, and where in it the tag writes (offsets in the file)."""

    file: bytes
    picc_at: int
    window_at: int
    encrypted_at: int
    mac_at: int

    @property
    def encrypted_length(self) -> int:
        """SDMENCLength: characters of the enciphered part."""
        return 2 * LABEL_BYTES


def parse(link: bytes) -> SunLink:
    """Take a link apart; SunRefused when it is not one of ours."""
    found = _LINK.search(link)
    if found is None:
        raise SunRefused("not a link that our tags write")
    picc, file, mac = (bytes.fromhex(found[name].decode()) for name in ("picc", "file", "mac"))
    window = link[found.start("site") : found.start("mac")]
    return SunLink(found["site"].decode(), picc, file, mac, window)


def link_in(file: bytes) -> bytes:
    """Return the link in an NDEF file as read; SunRefused when there is none."""
    length = int.from_bytes(file[:_LENGTH_BYTES], "big")
    message = file[_LENGTH_BYTES : _LENGTH_BYTES + length]
    payload = message[len(_head(b"")) :]
    if len(message) != length or message != _head(payload) + payload:
        raise SunRefused("no link in the tag's file")
    if not payload.startswith(_HTTPS):
        raise SunRefused("no link of https in the tag's file")
    return _SCHEME.encode() + payload[len(_HTTPS) :]


def _head(payload: bytes) -> bytes:
    """What precedes the payload of the one short record."""
    return bytes((_RECORD, len(_TYPE), min(len(payload), 0xFF))) + _TYPE


def template(page: str, site: str, label: str, mode: SunMode) -> SunTemplate:
    """Lay out the file of a tag; ``page`` is HOST/PATH. ValueError when that cannot be written."""
    picc = "0" * 2 * (AES_PICC_BYTES if mode is SunMode.AES else LRP_PICC_BYTES)
    stored = label.ljust(LABEL_BYTES).ljust(2 * LABEL_BYTES, "0")
    text = f"{page}?s={site}&p={picc}&e={stored}&m={'0' * 2 * MAC_BYTES}"
    payload = _HTTPS + text.encode("ascii")
    message = _head(payload) + payload
    file = len(message).to_bytes(_LENGTH_BYTES, "big") + message
    blank = text.replace(stored, "0" * len(stored))
    if len(label) > LABEL_BYTES or len(file) > FILE_BYTES or not _LINK.search(blank.encode()):
        raise ValueError("page, site or label is too long for the tag, or not plain text")
    mac_at = len(file) - 2 * MAC_BYTES
    encrypted_at = mac_at - len("&m=") - 2 * LABEL_BYTES
    picc_at = encrypted_at - len("&e=") - len(picc)
    window_at = picc_at - len("&p=") - len(site)
    return SunTemplate(file, picc_at, window_at, encrypted_at, mac_at)
