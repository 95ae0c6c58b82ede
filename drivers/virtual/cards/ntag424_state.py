"""What a software NTAG 424 DNA keeps without power; what it does with it is ntag424.py's."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Self

KEYS = 5
FILE_BYTES = 256
FACTORY_SETTINGS = bytes.fromhex("00E0EE")
"""File option and access rights of the NDEF file on delivery: plain, SDM off, free to all."""


@dataclass(slots=True)
class Ntag424State:
    """Stored state: five keys and their versions, the NDEF file with its settings, counters.

    `settings` is what ChangeFileSettings wrote; `reads` is SDMReadCtr; `failures` in a row.
    """

    uid: bytes
    keys: list[bytes] = field(default_factory=lambda: [bytes(16)] * KEYS)
    versions: list[int] = field(default_factory=lambda: [0] * KEYS)
    file: bytes = bytes(FILE_BYTES)
    settings: bytes = FACTORY_SETTINGS
    reads: int = 0
    failures: int = 0
    lrp: bool = False

    @classmethod
    def load(cls, stored: bytes) -> Self:
        """Read what `dump` wrote."""
        values: dict[str, Any] = json.loads(stored)
        for name in ("uid", "file", "settings"):
            values[name] = bytes.fromhex(values[name])
        values["keys"] = [bytes.fromhex(key) for key in values["keys"]]
        return cls(**values)

    def dump(self) -> bytes:
        """Everything, keys in clear: whoever stores this has the card."""
        return json.dumps(asdict(self), default=bytes.hex).encode()

    def place(self, index: int) -> int:
        """The n-th of the SDM offsets: PICC data, MAC window, file data, its length, MAC."""
        at = 6 + 3 * index
        return int.from_bytes(self.settings[at : at + 3], "little")

    def right(self, nibble: int) -> int:
        """Key slot of an access right: 0 read and write, 1 change, 2 read, 3 write; 14 is free."""
        return self.settings[1 + nibble // 2] >> (0 if nibble % 2 else 4) & 0x0F

    def sdm_slot(self, nibble: int) -> int:
        """Key slot of an SDM right: 1 counter, 2 meta read, 3 file read; 15 is none."""
        if not self.sdm:
            return 15
        return self.settings[4 + nibble // 2] >> (0 if nibble % 2 else 4) & 0x0F

    @property
    def sdm(self) -> bool:
        """Whether the tag writes into its file."""
        return bool(self.settings[0] & 0x40)
