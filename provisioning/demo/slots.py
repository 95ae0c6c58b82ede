"""Where a card is put: the reader of a terminal, as the demo's software cards find it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from drivers.virtual.faults import FrameCard
from drivers.virtual.pcscd import Pcscd
from drivers.virtual.pn532 import Pn532Device
from drivers.virtual.vpcd import VpcdCarrier
from provisioning.demo.blanks import AnyCard


class Device(Protocol):
    """The stand-in behind a reader's driver."""

    def insert(self, card: AnyCard) -> None:
        """Present a card."""

    def remove(self) -> None:
        """Take it away."""

    def close(self) -> None:
        """Unplug the reader."""


class _Contacts(VpcdCarrier):
    """A contact reader: a card without contacts is not felt."""

    def insert(self, card: AnyCard) -> None:
        if not isinstance(card, FrameCard):
            super().insert(card)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A reader: how the agent is told of it, and the device behind. ``slow``: about 1 s a card."""

    kind: str
    path: str
    device: Device
    virtual: bool = False
    slow: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


def nfc_slot() -> Slot:
    """A PN532 on a serial line, behind nfcpy's own driver."""
    device = Pn532Device()
    return Slot(kind="nfc", path=f"tty:{device.path}", device=device)


def pcsc_slot(pcscd: Pcscd) -> Slot:
    """A contact reader behind pyscard and a private pcscd, which looks for cards every 0.4 s."""
    return Slot(
        kind="pcsc",
        path="",
        device=_Contacts("127.0.0.1", pcscd.ports[0]),
        virtual=True,
        slow=True,
        environment={"PCSCLITE_CSOCK_NAME": str(pcscd.socket_path)},
    )
