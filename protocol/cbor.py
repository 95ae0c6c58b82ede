"""One CBOR data item (RFC 8949) of anyone, read strictly, and whether it is in its one encoding.

For bytes whose form is not ours: a foreign COSE message, a QR code. Our own messages are the
codec's. No tag is interpreted, so no date, number or pattern of the sender's choice is built.
"""

from __future__ import annotations

import math
import struct
from typing import Any, NamedTuple

from cbor2 import CBORSimpleValue, CBORTag, undefined

from protocol.errors import Malformed

# Real messages nest less than ten deep; Python's own stack holds about a thousand calls.
DEPTH_MAX = 64

_UINT, _NINT, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_INDEFINITE = 31
_BREAK = 0xFF
_CONSTANTS = {20: False, 21: True, 22: None, 23: undefined}
_FLOATS = {25: ">e", 26: ">f", 27: ">d"}
_BIGNUM_TAGS = (2, 3)


class Item(NamedTuple):
    """A decoded value: arrays are tuples, tags CBORTag, other simple values CBORSimpleValue.

    ``deterministic``: in the core deterministic encoding (RFC 8949, 4.2.1).
    """

    value: object
    deterministic: bool


def decode(data: bytes) -> Item:
    """Return the one item that ``data`` is; Malformed for anything else.

    Also Malformed: keys that come twice or that Python takes for one (1, 1.0, true), keys that
    are maps, and nesting below DEPTH_MAX.
    """
    reader = _Reader(data)
    value = reader.item(DEPTH_MAX)
    if reader.at != len(data):
        raise Malformed("CBOR: bytes behind the item")
    return Item(value, reader.deterministic)


class _Reader:
    """Where the reading is, and whether all so far was deterministic."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.deterministic = True

    def item(self, depth: int) -> object:
        if not depth:
            raise Malformed(f"CBOR: items nest deeper than {DEPTH_MAX}")
        head = self._take(1)[0]
        major, info = head >> 5, head & 0x1F
        if major == _SIMPLE:
            return self._simple(info)
        if info == _INDEFINITE and major in (_BYTES, _TEXT, _ARRAY, _MAP):
            self.deterministic = False
            return self._indefinite(major, depth)
        number = self._argument(info)
        if major in (_UINT, _NINT):
            return number if major == _UINT else -1 - number
        if major in (_BYTES, _TEXT):
            return self._string(major, number)
        if major == _TAG:
            return self._tag(number, depth)
        return self._collection(major, number, depth)

    def _collection(self, major: int, length: int, depth: int) -> object:
        if length > len(self.data):
            raise Malformed("CBOR: cut off")
        if major == _MAP:
            return self._map(length, depth)
        return tuple(self.item(depth - 1) for _ in range(length))

    def _take(self, count: int) -> bytes:
        taken = self.data[self.at : self.at + count]
        if len(taken) != count:
            raise Malformed("CBOR: cut off")
        self.at += count
        return taken

    def _argument(self, info: int) -> int:
        """The number in a head, in the bytes behind it where ``info`` says so."""
        if info < 24:
            return info
        if info > 27:
            raise Malformed("CBOR: a reserved head")
        size = 1 << info - 24
        number = int.from_bytes(self._take(size), "big")
        shortest = 24 if size == 1 else 1 << 4 * size
        self.deterministic &= number >= shortest
        return number

    def _string(self, major: int, length: int) -> bytes | str:
        text = self._take(length)
        try:
            return text if major == _BYTES else text.decode()
        except UnicodeDecodeError as error:
            raise Malformed("CBOR: a text that is not UTF-8") from error

    def _tag(self, number: int, depth: int) -> CBORTag:
        value = self.item(depth - 1)
        if number in _BIGNUM_TAGS and isinstance(value, bytes):
            # A number that an integer holds is one, and has no leading zeros (RFC 8949, 3.4.3).
            self.deterministic &= len(value) > 8 and value[0] != 0
        return CBORTag(number, value)

    def _map(self, length: int | None, depth: int) -> dict[object, object]:
        """``length`` None: until a break."""
        found: dict[object, object] = {}
        before = b""
        while not self._broken() if length is None else len(found) < length:
            start = self.at
            key = self.item(depth - 1)
            encoded = self.data[start : self.at]
            self.deterministic &= encoded > before
            before = encoded
            try:
                twice = key in found
            except (TypeError, RuntimeError) as error:  # the latter of a map inside a CBORTag
                raise Malformed("CBOR: a map in a key") from error
            if twice:
                raise Malformed("CBOR: a key comes twice")
            found[key] = self.item(depth - 1)
        return found

    def _indefinite(self, major: int, depth: int) -> object:
        if major == _MAP:
            return self._map(None, depth)
        parts: list[Any] = []
        while not self._broken():
            parts.append(self.item(depth - 1) if major == _ARRAY else self._chunk(major))
        if major == _ARRAY:
            return tuple(parts)
        return b"".join(parts) if major == _BYTES else "".join(parts)

    def _chunk(self, major: int) -> bytes | str:
        """A part of a string in parts: of the same type, of definite length."""
        head = self._take(1)[0]
        if head >> 5 != major:
            raise Malformed("CBOR: a part of another type in a string")
        return self._string(major, self._argument(head & 0x1F))

    def _broken(self) -> bool:
        """Take a break where one stands."""
        if self._take(1)[0] == _BREAK:
            return True
        self.at -= 1
        return False

    def _simple(self, info: int) -> object:
        if info in _CONSTANTS:
            return _CONSTANTS[info]
        if info in _FLOATS:
            return self._float(_FLOATS[info])
        if info < 20:
            return CBORSimpleValue(info)
        number = self._take(1)[0] if info == 24 else 0
        if number < 32:
            raise Malformed("CBOR: a reserved simple value")
        return CBORSimpleValue(number)

    def _float(self, form: str) -> float:
        taken = self._take(struct.calcsize(form))
        value: float = struct.unpack(form, taken)[0]
        self.deterministic &= taken == _shortest(value)
        return value


def _shortest(value: float) -> bytes:
    """The shortest of three floats that is the same number (RFC 8949, 4.2.2 for NaN)."""
    if math.isnan(value):
        return b"\x7e\x00"
    for form in (">e", ">f"):
        try:
            packed = struct.pack(form, value)
        except OverflowError:
            continue
        if struct.unpack(form, packed)[0] == value:
            return packed
    return struct.pack(">d", value)
