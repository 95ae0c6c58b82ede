"""Software cards that have nothing but a number: before a PN532, and as a PC/SC reader tells it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import xor

TYPE_2 = 0x00  # SAK (NXP AN10833, section 3)

_RID = bytes.fromhex("A000000306")  # of the PC/SC workgroup
_ISO_14443_A = 0x03
_GET_NUMBER = bytes.fromhex("FFCA000000")


@dataclass(frozen=True, slots=True)
class NumberCard:
    """A type A card that is selected and then understands nothing that is said to it here."""

    uid: bytes
    sel_res: int | None = TYPE_2

    def reset(self) -> None:
        """It keeps nothing."""

    def transmit(self, frame: bytes) -> bytes | None:
        """See FrameCard: silence."""
        del frame
        return None


class StorageCard:
    """Any such card as a PC/SC reader tells of it: its ATR and GET DATA are the reader's own."""

    def __init__(self, uid: bytes, card_name: int) -> None:
        self.uid = uid
        self.historical = (
            b"\x80\x4f\x0c" + _RID + bytes((_ISO_14443_A,)) + card_name.to_bytes(2, "big")
        ) + bytes(4)
        body = bytes((0x80 | len(self.historical), 0x80, 0x01)) + self.historical
        self.atr = b"\x3b" + body + bytes((reduce(xor, body),))

    def reset(self) -> None:
        """It keeps nothing."""

    def transmit(self, apdu: bytes) -> bytes:
        """See VirtualCard."""
        return self.uid + b"\x90\x00" if apdu == _GET_NUMBER else b"\x6a\x81"
