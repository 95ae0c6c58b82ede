"""What a software file card keeps without power; what it does with it is file_card.py's."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

import msgspec
from msgspec import Struct, field

MEMBER_FILE, MEMBER_FILE_BYTES = b"\x00\x02", 128
CHANGE_KEY = 0x01
TRIES = 3
"""Wrong PINs or keys in a row before the card refuses that one for good."""


class Access(StrEnum):
    """What must have happened before a file is read or written."""

    ALWAYS = "always"
    PIN = "pin"  # VERIFY
    KEY = "key"  # EXTERNAL AUTHENTICATE
    SECURE = "secure"  # the command itself comes under secure messaging
    CHANGE = "change"  # as SECURE, in a session of the change key
    NEVER = "never"


class File(Struct):
    """An elementary file: bytes of a fixed size, or with ``records_max`` records."""

    identifier: bytes
    read: Access
    write: Access
    content: bytes = b""
    records: list[bytes] = field(default_factory=list)
    records_max: int = 0


class Secret(Struct):
    """A PIN, or a key of 16 bytes, and how often it may still be wrong."""

    value: bytes
    tries: int = TRIES


class FileCardState(Struct):
    """Stored state: serial (16 bytes), files by short identifier, keys by reference, the PIN."""

    serial: bytes
    files: dict[int, File]
    keys: dict[int, Secret]
    pin: Secret

    @classmethod
    def blank(cls, serial: bytes, transport_key: bytes) -> Self:
        """State on delivery: an empty member file, and a transport key that may change all."""
        member = File(MEMBER_FILE, Access.SECURE, Access.CHANGE, bytes(MEMBER_FILE_BYTES))
        keys = {CHANGE_KEY: Secret(transport_key)}
        return cls(serial, {MEMBER_FILE[1]: member}, keys, Secret(b"", tries=0))

    @classmethod
    def load(cls, stored: bytes) -> Self:
        """Read what `dump` wrote."""
        return msgspec.msgpack.decode(stored, type=cls)

    def dump(self) -> bytes:
        """Everything, keys in clear: whoever stores this has the card."""
        return msgspec.msgpack.encode(self)
