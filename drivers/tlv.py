"""BER-TLV (ISO/IEC 8825-1 as narrowed by ISO/IEC 7816-4, 5.2.2), read strictly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

TAG_BYTES_MAX = 3
LENGTH_BYTES_MAX = 5
# ISO/IEC 7816-4 objects nest three or four deep; more is an attack on the reader's stack.
DEPTH_MAX = 16


class TlvError(ValueError):
    """Bytes that are not whole BER-TLV."""


class DataObject(NamedTuple):
    """One data object; the value of a constructed one is the objects in it, in their order."""

    tag: int
    value: bytes | tuple[DataObject, ...]


def parse(data: bytes) -> dict[int, bytes]:
    """Return tag -> value of the data objects in ``data``, one level deep.

    TlvError when an object is cut off, a tag or length is not in its form, or a tag comes twice.
    """
    found: dict[int, bytes] = {}
    for tag, value, _ in _objects(data):
        if tag in found:
            raise TlvError(f"tag {tag:X} comes twice")
        found[tag] = value
    return found


def parse_tree(data: bytes) -> tuple[DataObject, ...]:
    """Return the data objects in ``data`` in their order, constructed ones taken apart.

    A tag may come again. TlvError when an object on any level is cut off, a tag or length is not in
    its form, or objects nest deeper than DEPTH_MAX.
    """
    return _tree(data, DEPTH_MAX)


def encode_length(length: int) -> bytes:
    """Return the shortest form of a length below 2**32."""
    if length < 0x80:
        return bytes((length,))
    count = (length.bit_length() + 7) // 8
    if count >= LENGTH_BYTES_MAX:
        raise TlvError("a length takes more than four bytes")
    return bytes((0x80 | count,)) + length.to_bytes(count, "big")


def encode(tag: int, value: bytes) -> bytes:
    """Return one data object; ``tag`` as it stands in the bytes, so 0x5F2D is two of them."""
    tag_bytes = tag.to_bytes(max(1, (tag.bit_length() + 7) // 8), "big")
    return tag_bytes + encode_length(len(value)) + value


def _tree(data: bytes, depth: int) -> tuple[DataObject, ...]:
    if not depth:
        raise TlvError(f"objects nest deeper than {DEPTH_MAX}")
    return tuple(
        DataObject(tag, _tree(value, depth - 1) if constructed else value)
        for tag, value, constructed in _objects(data)
    )


def _objects(data: bytes) -> Iterator[tuple[int, bytes, bool]]:
    """Yield tag, value and whether the tag says that the value is data objects."""
    at = 0
    while at < len(data):
        start, tag_end = at, _tag_end(data, at)
        tag = int.from_bytes(data[at:tag_end], "big")
        length, begin = _length(data, tag_end)
        at = begin + length
        if at > len(data):
            raise TlvError(f"the value of tag {tag:X} is cut off")
        yield tag, data[begin:at], bool(data[start] & 0x20)


def _tag_end(data: bytes, at: int) -> int:
    """Return where the tag that begins at ``at`` ends."""
    end = at + 1
    if data[at] & 0x1F == 0x1F:
        while data[end : end + 1] >= b"\x80":
            end += 1
        end += 1
    if end > len(data) or end - at > TAG_BYTES_MAX:
        raise TlvError("a tag is cut off or too long")
    return end


def _length(data: bytes, at: int) -> tuple[int, int]:
    """Return the length at ``at`` and where its value begins."""
    if at >= len(data):
        raise TlvError("a length is missing")
    if data[at] < 0x80:
        return data[at], at + 1
    count = data[at] & 0x7F
    end = at + 1 + count
    if not 1 <= count < LENGTH_BYTES_MAX or end > len(data):
        raise TlvError("a length is not in its form")
    return int.from_bytes(data[at + 1 : end], "big"), end
