"""What a software DESFire keeps without power; what it does with it is desfire.py's."""

from __future__ import annotations

from typing import Self

import msgspec
from msgspec import Struct, field

NEW_KEY = bytes(16)
EV1, EV2 = 0x01, 0x12
UID_BYTES = 7

STANDARD, BACKUP, VALUE, LINEAR, CYCLIC, TRANSACTION = range(6)


class KeySet(Struct):
    """Keys with their versions; only a final set may be rolled to.

    AES keys, but for ``triple_des``: so is the one of the card itself when it leaves the factory.
    """

    keys: list[bytes]
    versions: list[int]
    version: int = 0
    final: bool = False
    triple_des: bool = False

    @classmethod
    def new(cls, count: int) -> Self:
        """Keys as a new application has them."""
        return cls([NEW_KEY] * count, [0] * count)


class File(Struct):
    """One file; which fields count depends on ``kind``.

    ``rights`` are two bytes each, as on the wire. ``limit`` is what LimitedCredit may give.
    ``data`` of a transaction file is the id of the reader that committed last.
    """

    kind: int
    option: int
    rights: list[bytes]
    data: bytes = b""
    size: int = 0
    most: int = 0
    records: list[bytes] = field(default_factory=list)
    lower: int = 0
    upper: int = 0
    value: int = 0
    limited: bool = False
    limit: int = 0
    key: bytes = b""
    key_version: int = 0
    counter: int = 0
    mac: bytes = bytes(8)


class Application(Struct):
    """One application, or the card itself; ``key_sets[0]`` is the running one."""

    settings: int
    key_sets: list[KeySet | None]
    roll_key: int = 0
    files: dict[int, File] = field(default_factory=dict)

    @property
    def running(self) -> KeySet:
        """The keys that authenticate."""
        running = self.key_sets[0]
        if running is None:
            raise ValueError("an application has running keys")
        return running


class DesfireState(Struct):
    """A card: ``applications`` by id in hexadecimal, as on the wire; 000000 is the card itself."""

    uid: bytes
    generation: int
    applications: dict[str, Application]

    @classmethod
    def blank(cls, uid: bytes, transport_key: bytes | None = None, generation: int = EV2) -> Self:
        """State on delivery: a UID (7 bytes) and an AES transport key (16), or the factory's."""
        key = NEW_KEY if transport_key is None else transport_key
        if len(uid) != UID_BYTES or len(key) != len(NEW_KEY):
            raise ValueError("a UID has 7 bytes and a transport key 16")
        card = Application(0x0F, [KeySet([key], [0], triple_des=transport_key is None)])
        return cls(uid, generation, {"000000": card})

    @classmethod
    def load(cls, stored: bytes) -> Self:
        """Read what ``dump`` wrote."""
        return msgspec.json.decode(stored, type=cls)

    def dump(self) -> bytes:
        """Everything, keys in clear: whoever stores this has the card."""
        return msgspec.json.encode(self)
