"""Names of things, with the text forms in which they travel."""

from __future__ import annotations

import re
from typing import NewType

from protocol.errors import Malformed

TenantId = NewType("TenantId", str)
SiteId = NewType("SiteId", str)
TerminalId = NewType("TerminalId", str)
Tid = NewType("Tid", bytes)  # 16 bytes, UUIDv7 of one transaction

# Characters that every broker accepts in a topic level and in a client id.
_LEVEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")


def check_level(text: str) -> str:
    """Return ``text`` when it may be a topic level and part of a client id; else Malformed."""
    if not _LEVEL.fullmatch(text):
        raise Malformed(f"'{text[:60]}' is not 1 to 40 of a-z, 0-9 and inner hyphens")
    return text


def uuid7(wall_ms: int, random: bytes) -> Tid:
    """UUIDv7 (RFC 9562, section 5.7) from a wall clock in ms and 10 random bytes."""
    if len(random) != 10 or not 0 <= wall_ms < 1 << 48:
        raise ValueError("uuid7 takes a 48-bit wall clock in ms and 10 random bytes")
    head = (random[0] & 0x0F) | 0x70
    variant = (random[2] & 0x3F) | 0x80
    tail = bytes((head, random[1], variant)) + random[3:]
    return Tid(wall_ms.to_bytes(6, "big") + tail)
