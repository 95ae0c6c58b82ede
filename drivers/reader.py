"""The port of a card reader, and what plugs a kind of reader in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Technology(StrEnum):
    """What a reader can say to a card."""

    APDU = "apdu"  # ISO/IEC 7816-4, over contacts or ISO/IEC 14443-4
    TYPE_2 = "type_2"  # frames of MIFARE Ultralight and NTAG (NFC Forum Type 2), without their CRC
    FELICA = "felica"  # frames of FeliCa (JIS X 6319-4), with their length byte
    QR = "qr"  # nothing: it is a text that was shown
    NUMBER = "number"  # nothing: it has said its number


@dataclass(frozen=True, slots=True)
class Presented:
    """A card in front of a reader.

    ``atr`` is that of a card that takes APDUs, else empty. ``uid`` is for the families that need it
    and goes no further than drivers. ``extended``: card and reader take extended Lc and Le.
    ``text`` is what a code says; whoever has it could show it, so it goes no further either.

    What else a reader can tell of a card that takes no APDUs: ``sak`` is a type A card's answer to
    its selection (ISO/IEC 14443-3, 6.5.3.4), ``card_name`` what PC/SC calls it (part 3, supplement
    on storage cards), ``number_format`` how a reader that only speaks wrote the number.
    """

    reader: str
    atr: bytes
    uid: bytes | None = None
    extended: bool = False
    technology: Technology = Technology.APDU
    text: str = field(default="", repr=False)
    sak: int | None = None
    card_name: int | None = None
    number_format: str = ""


class Reader(Protocol):
    """One open device. All of it is called from one thread at a time.

    ReaderLost means: close it and open a new one. After an ExchangeTimeout a reader may answer
    everything else with ReaderLost, because its device is still busy.
    """

    def wait_for_card(self, timeout_s: float) -> Presented | None:
        """Return the card that is there, or None when none came within ``timeout_s``."""

    def transmit(self, command: bytes, deadline_s: float) -> bytes:
        """Return the card's answer; CardGone, ExchangeTimeout after ``deadline_s``, ReaderLost.

        ``command`` and answer are what the presented card's technology has: APDUs or frames. After
        CardSilent, which is for frames alone, the card is selected anew and may be asked again.
        """

    def wait_for_removal(self, timeout_s: float) -> bool:
        """Return True once the presented card is gone, False when ``timeout_s`` passed."""

    def close(self) -> None:
        """Give the device back; never raises, and may be called again."""


@dataclass(frozen=True, slots=True)
class ReaderSettings:
    """Where a reader is. What ``path`` means is the kind's; empty is the kind's usual device.

    ``names`` allows only readers whose name starts with one of them; empty allows all.
    ``allow_virtual`` admits readers that anybody on the network can put a card into (tests, demo).
    """

    path: str = ""
    names: tuple[str, ...] = ()
    allow_virtual: bool = False


@dataclass(frozen=True, slots=True)
class ReaderKind:
    """One kind of reader. ``open`` raises ReaderLost (try again) or ReaderRefused (do not)."""

    name: str
    open: Callable[[ReaderSettings], Reader]
