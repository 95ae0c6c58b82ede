"""What DESFire says of itself, its applications and files, as bytes and as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from drivers.errors import CardRefused
from drivers.secure_channel.channel import CommunicationMode

FREE, NEVER = 0xE, 0xF  # in place of a key number
UID_BYTES = 7
AES_KEYS = 0x80
ADDITIONAL_RIGHTS_MAX = 7

_MODES = {
    0x00: CommunicationMode.PLAIN,
    0x01: CommunicationMode.MAC,
    0x02: CommunicationMode.PLAIN,
    0x03: CommunicationMode.FULL,
}
_CODES = {mode: code for code, mode in reversed(_MODES.items())}
_ADDITIONAL = 0x80  # bit of a file's option: more sets of access rights
_MORE_SETTINGS, _KEY_SETS = 0x10, 0x01  # bits of the second and third byte of key settings


class Generation(IntEnum):
    """Major hardware version that GetVersion tells."""

    EV1 = 0x01
    EV2 = 0x12
    EV3 = 0x33


@dataclass(frozen=True, slots=True)
class Version:
    """What GetVersion tells; ``uid`` is zeros on a card that hides it before authentication."""

    hardware: int
    uid: bytes

    @classmethod
    def parse(cls, data: bytes) -> Version:
        """CardRefused for fewer bytes than hardware (7), software (7) and production (14)."""
        if len(data) < 28:
            raise CardRefused(0x9100, f"a version of {len(data)} bytes")
        return cls(data[3], data[14 : 14 + UID_BYTES])


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """Key number (0 to 13), FREE or NEVER for each kind of access to a file."""

    read: int = NEVER
    write: int = NEVER
    both: int = NEVER
    change: int = NEVER

    def encode(self) -> bytes:
        """Return the two bytes, least significant first."""
        value = self.read << 12 | self.write << 8 | self.both << 4 | self.change
        return value.to_bytes(2, "little")

    @classmethod
    def parse(cls, data: bytes) -> Rights:
        """Inverse of ``encode``."""
        value = int.from_bytes(data, "little")
        nibbles = ((value >> shift) & 0xF for shift in (12, 8, 4, 0))
        return cls(**dict(zip(("read", "write", "both", "change"), nibbles, strict=True)))


@dataclass(frozen=True, slots=True)
class DataFile:
    """Bytes; with ``backup`` they change at commit only."""

    size: int
    backup: bool = False

    @property
    def create(self) -> int:
        """The command that makes one; so in every class here."""
        return 0xCB if self.backup else 0xCD

    def encode(self) -> bytes:
        """What the command says behind the rights; so in every class here."""
        return self.size.to_bytes(3, "little")


@dataclass(frozen=True, slots=True)
class ValueFile:
    """A signed 32-bit value within limits, in minor units."""

    lower: int
    upper: int
    value: int = 0
    limited_credit: bool = False

    create = 0xCC

    def encode(self) -> bytes:
        """See DataFile."""
        values = (self.lower, self.upper, self.value)
        return b"".join(map(encode_value, values)) + bytes((self.limited_credit,))


@dataclass(frozen=True, slots=True)
class RecordFile:
    """Records of one size; a cyclic file of n keeps n - 1 once it is full."""

    size: int
    most: int
    present: int = 0
    cyclic: bool = True

    @property
    def create(self) -> int:
        """See DataFile."""
        return 0xC0 if self.cyclic else 0xC1

    def encode(self) -> bytes:
        """See DataFile."""
        return self.size.to_bytes(3, "little") + self.most.to_bytes(3, "little")


@dataclass(frozen=True, slots=True)
class TransactionMacFile:
    """Counter and MAC of the last transaction; ``create`` is sent with its key, in FULL."""

    key_version: int = 0

    create = 0xCE

    def encode(self) -> bytes:
        """The kind of its key: AES."""
        return b"\x02"


Content = DataFile | ValueFile | RecordFile | TransactionMacFile


@dataclass(frozen=True, slots=True)
class FileSettings:
    """One file. The first of ``rights`` is its own, the others are additional (EV2)."""

    mode: CommunicationMode
    rights: tuple[Rights, ...]
    content: Content

    def to_create(self, number: int) -> bytes:
        """Header of the command that makes the file, with its first rights."""
        head = bytes((number, self._option())) + self.rights[0].encode()
        return head + self.content.encode()

    def to_change(self) -> bytes:
        """Data of ChangeFileSettings: mode and all rights."""
        data = bytes((self._option(),)) + self.rights[0].encode()
        more = self.rights[1:]
        return data + (bytes((len(more),)) + _encoded(more) if more else b"")

    @classmethod
    def parse(cls, data: bytes) -> FileSettings:
        """Read the answer of GetFileSettings; CardRefused when it is no such answer."""
        try:
            kind, option, body = data[0], data[1], data[4:]
            content, rest = _content(kind, body)
            count = rest[0] if option & _ADDITIONAL else 0
            sets = [data[2:4], *(rest[1 + 2 * n : 3 + 2 * n] for n in range(count))]
            if any(len(each) != 2 for each in sets):
                raise IndexError("rights cut short")
            return cls(_MODES[option & 0x03], tuple(map(Rights.parse, sets)), content)
        except (IndexError, KeyError) as error:
            raise CardRefused(0x9100, f"file settings {data.hex()}") from error

    def _option(self) -> int:
        return _CODES[self.mode] | (_ADDITIONAL if len(self.rights) > 1 else 0)


def _encoded(rights: Sequence[Rights]) -> bytes:
    return b"".join(each.encode() for each in rights)


def _content(kind: int, body: bytes) -> tuple[Content, bytes]:
    """What is particular to a kind of file, and what follows it; IndexError when it is short."""
    length = {0: 3, 1: 3, 2: 13, 3: 9, 4: 9, 5: 2}[kind]
    own, rest = body[:length], body[length:]
    if len(own) < length:
        raise IndexError("settings cut short")
    if kind in (0, 1):
        return DataFile(_number(own), backup=kind == 1), rest
    if kind == 2:
        lower, upper = decode_value(own[:4]), decode_value(own[4:8])
        # The third number is what LimitedCredit may still give, not the value.
        return ValueFile(lower, upper, 0, limited_credit=bool(own[12] & 1)), rest
    if kind == 5:
        return TransactionMacFile(own[1]), rest
    size, most, present = (_number(own[at : at + 3]) for at in (0, 3, 6))
    return RecordFile(size, most, present, cyclic=kind == 4), rest


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")


def encode_value(value: int) -> bytes:
    """A signed 32-bit value as on the wire; OverflowError beyond."""
    return value.to_bytes(4, "little", signed=True)


def decode_value(data: bytes) -> int:
    """Inverse of ``encode_value``."""
    return int.from_bytes(data, "little", signed=True)


@dataclass(frozen=True, slots=True)
class ApplicationSettings:
    """How CreateApplication makes one: AES keys, all changed by key 0.

    ``settings`` is the byte of GetKeySettings; ``key_sets`` counts the running one too and
    ``roll_key`` may roll them (EV2).
    """

    keys: int
    settings: int
    key_sets: int = 1
    roll_key: int = 0

    def encode(self) -> bytes:
        """Return what CreateApplication takes behind the application's id."""
        if self.key_sets == 1:
            return bytes((self.settings, AES_KEYS | self.keys))
        head = bytes((self.settings, AES_KEYS | _MORE_SETTINGS | self.keys, _KEY_SETS))
        return head + bytes((0, self.key_sets, 16, self.roll_key))
