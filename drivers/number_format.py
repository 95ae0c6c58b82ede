"""How readers that type a card's number write it: hexadecimal, decimal, track 2 of a stripe.

Each format gives bytes that name the card, or None for what is not in it. None of them proves
anything: a number is earn-only whatever its format.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import reduce
from operator import xor

EM4100_FRAME = "rdm6300"  # what readers of EM4100 tags send, named after the first of them

Format = Callable[[bytes], bytes | None]

# 4 to 10 bytes: the numbers of ISO/IEC 14443 and 15693, FeliCa and EM4100.
_HEX = re.compile(rb"[0-9A-Fa-f]{8,20}")
_DECIMAL = re.compile(rb"[0-9]{8,20}")
# ISO/IEC 7813, 8: start sentinel, account number, separator, data, end sentinel; at most 40
# characters with the check character, which not every reader passes on.
_TRACK_2 = re.compile(rb";([0-9]{8,19})=([0-9]{0,28})\?([0-?])?")
_TRACK_2_MAX = 40


def hexadecimal(frame: bytes) -> bytes | None:
    """Whole bytes in hexadecimal digits."""
    if len(frame) % 2 or not _HEX.fullmatch(frame):
        return None
    return bytes.fromhex(frame.decode())


def decimal(frame: bytes) -> bytes | None:
    """Decimal digits, which stay digits: how many of a number's bits they hold differs by maker."""
    return frame if _DECIMAL.fullmatch(frame) else None


def track_2(frame: bytes) -> bytes | None:
    """The account number of a stripe; where there is a check character it must fit.

    It is the exclusive or of the four data bits of all characters, sentinels included (ISO/IEC
    7811-2, 7.4); its fifth bit is a parity that readers check and do not send.
    """
    match = _TRACK_2.fullmatch(frame)
    if match is None or len(frame) > _TRACK_2_MAX:
        return None
    if match[3] and reduce(xor, frame) & 0x0F:
        return None
    return match[1]


FORMATS: dict[str, Format] = {"hex": hexadecimal, "decimal": decimal, "track2": track_2}
