"""What a software Ultralight keeps without power; what it does with it is ultralight.py's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Self

PAGE_BYTES = 4
AES_PAGES, C_PAGES = 0x3C, 0x30
AES_CONFIG_0, AES_CONFIG_1, AES_KEY_PAGE = 0x29, 0x2A, 0x30
C_AUTH0, C_KEY_PAGE = 0x2A, 0x2C
C_FACTORY_KEY = b"IEMKAERB!NACUOYF"
"""As published: the key a MF0ICU2 is delivered with, as its commands use it."""


@dataclass(slots=True)
class UltralightState:
    """Stored state: `pages` as the chip holds them, key pages included; wrong attempts so far."""

    pages: bytearray
    failures: int = 0

    @classmethod
    def blank(cls, uid: bytes, *, aes: bool) -> Self:
        """State on delivery: UID, no page protected, the factory's key."""
        count = AES_PAGES if aes else C_PAGES
        pages = bytearray(count * PAGE_BYTES)
        first, second = uid[:3], uid[3:]
        pages[:9] = first + _check(b"\x88" + first) + second + _check(second)
        if aes:
            pages[AES_CONFIG_0 * PAGE_BYTES + 3] = count
        else:
            pages[C_AUTH0 * PAGE_BYTES] = count
            key = C_FACTORY_KEY[7::-1] + C_FACTORY_KEY[:7:-1]
            pages[C_KEY_PAGE * PAGE_BYTES :] = key
        return cls(pages)

    @classmethod
    def load(cls, stored: bytes) -> Self:
        """Read what `dump` wrote."""
        values = json.loads(stored)
        return cls(bytearray.fromhex(values["pages"]), values["failures"])

    def dump(self) -> bytes:
        """Everything, keys in clear: whoever stores this has the card."""
        return json.dumps({"pages": self.pages.hex(), "failures": self.failures}).encode()

    @property
    def is_aes(self) -> bool:
        """Which chip it is; the two differ in size."""
        return len(self.pages) == AES_PAGES * PAGE_BYTES

    @property
    def uid(self) -> bytes:
        """The seven bytes of the first two pages."""
        return bytes(self.pages[:3] + self.pages[4:8])

    @property
    def key(self) -> bytes:
        """The key as commands use it; it is stored least significant byte first."""
        if self.is_aes:
            return bytes(self.pages[AES_KEY_PAGE * 4 : AES_KEY_PAGE * 4 + 16][::-1])
        stored = bytes(self.pages[C_KEY_PAGE * PAGE_BYTES :])
        return stored[7::-1] + stored[:7:-1]

    @property
    def first_protected(self) -> int:
        """AUTH0: from this page on an authentication is needed."""
        return self.pages[AES_CONFIG_0 * 4 + 3 if self.is_aes else C_AUTH0 * 4]

    @property
    def reading_protected(self) -> bool:
        """Whether that holds for reading too: PROT of the AES chip, AUTH1 of the other."""
        if self.is_aes:
            return bool(self.pages[AES_CONFIG_1 * 4] & 0x80)
        return not self.pages[(C_AUTH0 + 1) * 4] & 0x01

    @property
    def failures_max(self) -> int:
        """AUTHLIM: wrong attempts before the AES chip refuses for good; 0 is no limit."""
        at = AES_CONFIG_1 * PAGE_BYTES
        limit = int.from_bytes(self.pages[at + 2 : at + 4], "little") & 0x3FF
        return limit if self.is_aes else 0

    @property
    def speaks_with_mac(self) -> bool:
        """SEC_MSG_ACT: after an authentication everything carries a CMAC."""
        return self.is_aes and bool(self.pages[AES_CONFIG_0 * PAGE_BYTES] & 0x02)


def _check(data: bytes) -> bytes:
    """BCC of the anticollision (ISO/IEC 14443-3, 6.5.2)."""
    value = 0
    for byte in data:
        value ^= byte
    return bytes((value,))
