"""The tag's side of EM4100, as its reader tells of it on a serial line."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import xor


def em4100_frame(number: bytes) -> bytes:
    """What an RDM6300 sends of a tag's five bytes."""
    checked = number + bytes((reduce(xor, number),))
    return b"\x02" + checked.hex().upper().encode() + b"\x03"


@dataclass(frozen=True, slots=True)
class Em4100Tag:
    """A tag that somebody carries; ``number`` has five bytes."""

    number: bytes

    def frame(self) -> bytes:
        """What its reader says of it."""
        return em4100_frame(self.number)
