"""What the software CPU card keeps without power; what it does with it is cpu.py's."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any, Self

ADMIN_TRIES = 5
"""Wrong answers to the admin challenge before the card refuses for good."""


@dataclass(slots=True)
class CpuState:
    """Stored state: `signing_key` is PKCS #8 DER or empty, `file` the bytes of EF.CREDENTIAL."""

    serial: bytes
    admin_key: bytes
    admin_tries: int = ADMIN_TRIES
    lifecycle: int = 0
    counter: int = 0
    file: bytes = b""
    signing_key: bytes = b""

    @classmethod
    def blank(cls, serial: bytes, transport_key: bytes) -> Self:
        """State on delivery: a serial and an AES-128 transport key, 16 bytes each."""
        if len(serial) != 16 or len(transport_key) != 16:
            raise ValueError("serial and transport key have 16 bytes each")
        return cls(serial, transport_key)

    @classmethod
    def load(cls, stored: bytes) -> Self:
        """Read what `dump` wrote."""
        values: dict[str, Any] = {
            name: bytes.fromhex(value) if isinstance(value, str) else value
            for name, value in json.loads(stored).items()
        }
        return cls(**values)

    def dump(self) -> bytes:
        """Everything, keys in clear: whoever stores this has the card."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return json.dumps(values, default=bytes.hex).encode()
