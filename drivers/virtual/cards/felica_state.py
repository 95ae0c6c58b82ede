"""What a software FeliCa Lite-S keeps without power; what it does with it is felica.py's."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Self

BLOCK_BYTES = 16
USER_BLOCKS = range(0x0F)
ID, KEY_VERSION, KEY, CONFIG = 0x82, 0x86, 0x87, 0x88
FACTORY_CONFIG = bytes.fromhex("FFFFFF01070000000000000000000000")


@dataclass(slots=True)
class FelicaState:
    """Stored state: blocks by number, and WCNT: the writes under MAC so far."""

    idm: bytes
    blocks: dict[int, bytes] = field(default_factory=dict)
    writes: int = 0

    @classmethod
    def blank(cls, idm: bytes) -> Self:
        """State on delivery: open blocks and a key of zeros."""
        numbers = (*USER_BLOCKS, 0x83, 0x84, 0x85, KEY_VERSION, KEY)
        blocks = {number: bytes(BLOCK_BYTES) for number in numbers}
        return cls(idm, {**blocks, ID: idm + bytes(8), CONFIG: FACTORY_CONFIG})

    @classmethod
    def load(cls, stored: bytes) -> Self:
        """Read what `dump` wrote."""
        values = json.loads(stored)
        blocks = {int(number): bytes.fromhex(data) for number, data in values["blocks"].items()}
        return cls(bytes.fromhex(values["idm"]), blocks, values["writes"])

    def dump(self) -> bytes:
        """Everything, key in clear: whoever stores this has the card."""
        blocks = {number: data.hex() for number, data in self.blocks.items()}
        values = {"idm": self.idm.hex(), "blocks": blocks, "writes": self.writes}
        return json.dumps(values).encode()

    @property
    def is_open(self) -> bool:
        """Whether anybody may write the system blocks."""
        return self.blocks[CONFIG][2] == 0xFF
