"""Where a card is put: the reader of a terminal, as the demo's software cards find it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

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
        """Present a card or a phone."""

    def remove(self) -> None:
        """Take it away."""

    def close(self) -> None:
        """Unplug the reader."""


class Place:
    """A reader with a scanner beside it."""

    def __init__(self, reader: Pn532Device | VpcdCarrier, scanner: SerialLine) -> None:
        self._reader, self._scanner = reader, scanner
        self.faults = reader.faults

    def insert(self, card: Held) -> None:
        """See Device; a contact reader does not feel a card without contacts."""
        if isinstance(card, MemberPhone):
            self._scanner.say(f"{card.code()}\r\n".encode())
        elif isinstance(card, FrameCard):
            if isinstance(self._reader, Pn532Device):
                self._reader.insert(card)
        else:
            self._reader.insert(card)

    def remove(self) -> None:
        """See Device; a code is gone once it was read."""
        self._reader.remove()

    def close(self) -> None:
        """See Device."""
        self._reader.close()
        self._scanner.unplug()


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Reader and scanner: how the agent is told of them, and the device behind.

    ``slow``: a contact reader, about 1 s a card.
    """

    kind: str
    path: str
    scanner: str
    device: Device
    virtual: bool = False
    slow: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


def nfc_slot(scanner: SerialLine) -> Slot:
    """A PN532 on a serial line, behind nfcpy's own driver."""
    device = Pn532Device()
    return Slot(
        kind="nfc",
        path=f"tty:{device.path}",
        scanner=str(scanner.path),
        device=Place(device, scanner),
    )


def pcsc_slot(pcscd: Pcscd, scanner: SerialLine) -> Slot:
    """A contact reader behind pyscard and a private pcscd, which looks for cards every 0.4 s."""
    return Slot(
        kind="pcsc",
        path="",
        scanner=str(scanner.path),
        device=Place(VpcdCarrier("127.0.0.1", pcscd.ports[0]), scanner),
        virtual=True,
        slow=True,
        environment={"PCSCLITE_CSOCK_NAME": str(pcscd.socket_path)},
    )
