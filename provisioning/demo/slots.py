"""Where a card is put: the reader of a terminal, as the demo's software cards find it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from drivers.number_format import EM4100_FRAME
from drivers.readers import scanner, serial_tag
from drivers.virtual.cards.em4100 import Em4100Tag
from drivers.virtual.faults import Faults, FrameCard
from drivers.virtual.pcscd import Pcscd
from drivers.virtual.pn532 import Pn532Device
from drivers.virtual.serial_line import SerialLine
from drivers.virtual.vpcd import VpcdCarrier
from provisioning.demo.blanks import Held
from provisioning.demo.phone import MemberPhone


class Device(Protocol):
    """The stand-in behind a reader's driver."""

    faults: Faults

    def insert(self, card: Held) -> None:
        """Present a card, a tag or a phone."""

    def remove(self) -> None:
        """Take it away."""

    def close(self) -> None:
        """Unplug the reader."""


@dataclass(frozen=True, slots=True)
class Second:
    """What stands beside a reader on a serial line: a scanner, or with ``tags`` a tag reader."""

    line: SerialLine
    tags: bool = False

    @property
    def kind(self) -> str:
        """Its kind in a terminal's configuration."""
        return serial_tag.READER.name if self.tags else scanner.READER.name

    @property
    def path(self) -> str:
        """Its path in a terminal's configuration."""
        return f"{EM4100_FRAME}:{self.line.path}" if self.tags else str(self.line.path)

    def show(self, held: MemberPhone | Em4100Tag) -> None:
        """Hold something to it; it does not feel what is not for it."""
        if isinstance(held, Em4100Tag):
            if self.tags:
                self.line.say(held.frame())
        elif not self.tags:
            self.line.say(f"{held.code()}\r\n".encode())


class Place:
    """A reader with a second one beside it."""

    def __init__(self, reader: Pn532Device | VpcdCarrier, second: Second) -> None:
        self._reader, self._second = reader, second
        self.faults = reader.faults

    def insert(self, card: Held) -> None:
        """See Device; a contact reader does not feel a card without contacts."""
        if isinstance(card, MemberPhone | Em4100Tag):
            self._second.show(card)
        elif isinstance(card, FrameCard):
            if isinstance(self._reader, Pn532Device):
                self._reader.insert(card)
        else:
            self._reader.insert(card)

    def remove(self) -> None:
        """See Device; a code or tag is gone once it was read."""
        self._reader.remove()

    def close(self) -> None:
        """See Device."""
        self._reader.close()
        self._second.line.unplug()


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Both readers: how the agent is told of them, and the device behind.

    ``slow``: a contact reader, about 1 s a card.
    """

    kind: str
    path: str
    second: Second
    device: Device
    virtual: bool = False
    slow: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


def nfc_slot(second: Second) -> Slot:
    """A PN532 on a serial line, behind nfcpy's own driver."""
    device = Pn532Device()
    return Slot(
        kind="nfc",
        path=f"tty:{device.path}",
        second=second,
        device=Place(device, second),
    )


def pcsc_slot(pcscd: Pcscd, second: Second) -> Slot:
    """A contact reader behind pyscard and a private pcscd, which looks for cards every 0.4 s."""
    return Slot(
        kind="pcsc",
        path="",
        second=second,
        device=Place(VpcdCarrier("127.0.0.1", pcscd.ports[0]), second),
        virtual=True,
        slow=True,
        environment={"PCSCLITE_CSOCK_NAME": str(pcscd.socket_path)},
    )
