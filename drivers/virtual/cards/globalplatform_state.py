"""What a software JavaCard keeps without power; what it does with it is globalplatform.py's."""

from __future__ import annotations

from typing import Self

import msgspec
from msgspec import Struct, field

FACTORY_VERSION = 0xFF
FAILURES_MAX = 10
"""Wrong host cryptograms in a row before the domain refuses for good."""


class Package(Struct):
    """A loaded package: the applets in it, and its load file."""

    modules: list[bytes]
    code: bytes


class Instance(Struct):
    """An installed applet and the data groupings that were stored in it."""

    package: bytes
    module: bytes
    parameters: bytes
    data: dict[int, bytes] = field(default_factory=dict)


class JavaCardState(Struct):
    """Stored state. ``keys``: version -> enc, mac, dek, all of one protocol (2 or 3)."""

    protocol: int
    keys: dict[int, list[bytes]]
    sequence: int = 0
    failures: int = 0
    packages: dict[bytes, Package] = field(default_factory=dict)
    instances: dict[bytes, Instance] = field(default_factory=dict)

    @classmethod
    def blank(cls, protocol: int, factory_key: bytes) -> Self:
        """State on delivery: one key of 16 bytes for everything, under version 255."""
        return cls(protocol, {FACTORY_VERSION: [factory_key] * 3})

    @classmethod
    def load(cls, stored: bytes) -> Self:
        """Read what `dump` wrote."""
        return msgspec.msgpack.decode(stored, type=cls)

    def dump(self) -> bytes:
        """Everything, keys in clear: whoever stores this has the card."""
        return msgspec.msgpack.encode(self)
