"""BER-TLV (ISO/IEC 8825-1 as narrowed by ISO/IEC 7816-4, 5.2.2), read strictly."""

from __future__ import annotations

TAG_BYTES_MAX = 3
LENGTH_BYTES_MAX = 5


class TlvError(ValueError):
    """Bytes that are not whole BER-TLV."""


def parse(data: bytes) -> dict[int, bytes]:
    """Return tag -> value of the data objects in ``data``, one level deep.

    TlvError when an object is cut off, a tag or length is not in its form, or a tag comes twice.
    """
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        tag_end = _tag_end(data, at)
        tag = int.from_bytes(data[at:tag_end], "big")
        length, begin = _length(data, tag_end)
        at = begin + length
        if at > len(data):
            raise TlvError(f"the value of tag {tag:X} is cut off")
        if tag in found:
            raise TlvError(f"tag {tag:X} comes twice")
        found[tag] = data[begin:at]
    return found


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
