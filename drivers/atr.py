"""What an answer to reset says: the historical bytes and whether long commands are understood.

Contactless cards have none of their own; a reader makes one from the card's ATS, so that both kinds
look alike from here on.
"""

from __future__ import annotations

from functools import reduce
from operator import xor

_COMPACT_TLV = 0x80  # category indicator (ISO/IEC 7816-4, 12.1.1.2)
_CAPABILITIES_TAG = 7  # compact header 7n: 1 to 3 software function tables
_EXTENDED_LENGTH = 0x40  # third software function table (ISO/IEC 7816-4, table 119)


def historical_bytes(atr: bytes) -> bytes:
    """Return the historical bytes of ``atr`` (ISO/IEC 7816-3, 8.2); empty when it is cut off."""
    if len(atr) < 2:
        return b""
    count, more, at = atr[1] & 0x0F, atr[1] >> 4, 2
    while more:
        at += (more & 7).bit_count()
        if not more & 8:
            break
        if at >= len(atr):
            return b""
        more, at = atr[at] >> 4, at + 1
    historical = atr[at : at + count]
    return historical if len(historical) == count else b""


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
