"""What an answer to reset says: protocols, speed, historical bytes, and what a reader made of it.

Contactless cards have none of their own; a reader makes one from the card's ATS, or names a storage
card in it, so that both kinds look alike from here on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import xor
from typing import NamedTuple

DIRECT, INVERSE = 0x3B, 0x3F
DEFAULT_FI, DEFAULT_DI = 372, 1  # without TA1 (ISO/IEC 7816-3, 8.3)

_COMPACT_TLV = 0x80  # category indicator (ISO/IEC 7816-4, 12.1.1.2)
_CAPABILITIES_TAG = 7  # compact header 7n: 1 to 3 software function tables
_EXTENDED_LENGTH = 0x40  # third software function table (ISO/IEC 7816-4, table 119)
_GLOBAL_BYTES = 15  # T=15 announces interface bytes for all protocols and is none itself
# Halves of TA1 (ISO/IEC 7816-3, tables 7 and 8); the others are reserved.
_FI = {0: 372, 1: 372, 2: 558, 3: 744, 4: 1116, 5: 1488, 6: 1860}
_FI |= {9: 512, 10: 768, 11: 1024, 12: 1536, 13: 2048}
_DI = {1: 1, 2: 2, 3: 4, 4: 8, 5: 16, 6: 32, 7: 64, 8: 12, 9: 20}
# Storage cards as PC/SC part 3, 3.1.3.2.3.2 and its supplement name them.
_STORAGE_CARD = bytes((_COMPACT_TLV, 0x4F, 0x0C))
_STANDARDS = {
    0x03: "ISO 14443 A part 3",
    0x07: "ISO 14443 B part 3",
    0x0B: "ISO 15693 part 3",
    0x11: "FeliCa",
}
_CARD_NAMES = {
    0x0001: "MIFARE Classic 1K",
    0x0002: "MIFARE Classic 4K",
    0x0003: "MIFARE Ultralight",
    0x0026: "MIFARE Mini",
    0x0030: "Topaz",
    0x0036: "MIFARE Plus SL1 2K",
    0x0037: "MIFARE Plus SL1 4K",
    0x0038: "MIFARE Plus SL2 2K",
    0x0039: "MIFARE Plus SL2 4K",
    0x003A: "MIFARE Ultralight C",
    0x003B: "FeliCa",
    0xFF28: "JCOP 30",
}


class AtrError(ValueError):
    """Bytes that are no answer to reset."""


class StorageCard(NamedTuple):
    """A contactless card that a PC/SC reader describes; a text is None where none is known."""

    rid: bytes
    standard: int
    card_name: int

    @property
    def standard_text(self) -> str | None:
        """What the card speaks."""
        return _STANDARDS.get(self.standard)

    @property
    def card_text(self) -> str | None:
        """The product."""
        return _CARD_NAMES.get(self.card_name)


@dataclass(frozen=True, slots=True)
class Atr:
    """An answer to reset (ISO/IEC 7816-3, 8.2), taken apart.

    ``interface`` has the interface bytes by name (TA1, TD1, …) in their order. ``protocols`` are
    the T of each TD in their order, T=15 and repetitions included; T=0 alone where no TD is.
    ``checked`` is the checksum over all from T0 to ``tck``, 0 when it holds.
    """

    convention: int
    interface: Mapping[str, int]
    protocols: tuple[int, ...]
    historical: bytes
    tck: int | None
    checked: int
    trailing: bytes

    @property
    def offered(self) -> tuple[int, ...]:
        """The transmission protocols, each once."""
        return tuple(dict.fromkeys(t for t in self.protocols if t != _GLOBAL_BYTES))

    @property
    def tck_expected(self) -> bool:
        """Whether a checksum byte is due: always, but for a card of T=0 alone."""
        return any(self.protocols)

    @property
    def tck_valid(self) -> bool | None:
        """Whether the checksum is there and holds; None where none is due."""
        return (self.tck is not None and not self.checked) if self.tck_expected else None

    @property
    def fi(self) -> int | None:
        """Clock cycles in a time unit at ``di`` 1; None for a reserved value."""
        ta1 = self.interface.get("TA1")
        return DEFAULT_FI if ta1 is None else _FI.get(ta1 >> 4)

    @property
    def di(self) -> int | None:
        """By what the time unit is divided; None for a reserved value."""
        ta1 = self.interface.get("TA1")
        return DEFAULT_DI if ta1 is None else _DI.get(ta1 & 0x0F)

    @property
    def storage_card(self) -> StorageCard | None:
        """What a PC/SC reader says of a card without an ATS, or None."""
        text = self.historical
        if text[:3] != _STORAGE_CARD or len(text) < 11:
            return None
        return StorageCard(text[3:8], text[8], int.from_bytes(text[9:11], "big"))


def parse(atr: bytes) -> Atr:
    """Take an answer to reset apart; AtrError when it is cut off or does not begin as one.

    A checksum that is missing or wrong is told, not refused: the reader has judged it already, and
    some cut it off.
    """
    if len(atr) < 2 or atr[0] not in (DIRECT, INVERSE):
        raise AtrError("neither convention begins so")
    interface, at = _interface(atr)
    protocols = tuple(value & 0x0F for name, value in interface.items() if name[1] == "D") or (0,)
    end = at + (atr[1] & 0x0F)
    if end > len(atr):
        raise AtrError("the historical bytes are cut off")
    tck_end = end + (1 if any(protocols) else 0)
    tck = atr[end] if end < tck_end <= len(atr) else None
    checked = reduce(xor, atr[1:tck_end])
    return Atr(atr[0], interface, protocols, atr[at:end], tck, checked, atr[tck_end:])


def _interface(atr: bytes) -> tuple[dict[str, int], int]:
    """Return the interface bytes by name, and where the historical bytes begin."""
    found: dict[str, int] = {}
    more, at, group = atr[1] >> 4, 2, 1
    while more:
        names = [f"T{letter}{group}" for n, letter in enumerate("ABCD") if more >> n & 1]
        if at + len(names) > len(atr):
            raise AtrError("the interface bytes are cut off")
        found |= zip(names, atr[at:], strict=False)
        at += len(names)
        more = found.get(f"TD{group}", 0) >> 4
        group += 1
    return found, at


def historical_bytes(atr: bytes) -> bytes:
    """Return the historical bytes of ``atr``; empty when it is none or cut off."""
    try:
        return parse(atr).historical
    except AtrError:
        return b""


def storage_card(atr: bytes) -> StorageCard | None:
    """Return how a reader describes a card that takes no APDUs; None for one that takes them."""
    try:
        return parse(atr).storage_card
    except AtrError:
        return None


def takes_extended_length(atr: bytes) -> bool:
    """Whether the card says that it understands extended Lc and Le; silence means no."""
    historical = historical_bytes(atr)
    if historical[:1] != bytes((_COMPACT_TLV,)):
        return False
    at = 1
    while at < len(historical):
        tag, length = historical[at] >> 4, historical[at] & 0x0F
        if tag == _CAPABILITIES_TAG and length == 3 and at + 3 < len(historical):
            return bool(historical[at + 3] & _EXTENDED_LENGTH)
        at += 1 + length
    return False


def from_ats(ats: bytes) -> bytes:
    """Return the ATR that stands for a type A card's ATS (PC/SC part 3, 3.1.3.2.3.1).

    ``ats`` is TL, T0, the interface bytes that T0 announces, and the historical bytes.
    """
    interface_bytes = (ats[1] >> 4 & 7).bit_count() if len(ats) > 1 else 0
    historical = ats[2 + interface_bytes : ats[0] if ats else 0][:15]
    body = bytes((0x80 | len(historical), 0x80, 0x01)) + historical
    return b"\x3b" + body + bytes((reduce(xor, body),))
