"""A reader with a software card before it, for each carrier; the driver stack between is real."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import pytest

from drivers.exchange import Deadlines
from drivers.reader import Presented, Reader, ReaderKind, ReaderSettings
from drivers.readers import nfc, pcsc
from drivers.supervise import BackOff, Supervisor
from drivers.virtual.faults import Faults, VirtualCard
from drivers.virtual.nfc_udp import NfcUdpCarrier
from drivers.virtual.pn532 import Pn532Device
from drivers.virtual.vpcd import VpcdCarrier
from tests.drivers.world import SOON_S, Log, examiner
from tests.services.pcscd import Pcscd

CARRIERS = ("pn532", "udp", pytest.param("pcsc", marks=pytest.mark.pcscd))
# Readers that only say what they read: test_every_listening_reader.py; a keyboard needs a kernel's
# input device, so only what stands behind its device is tested.
LISTENING = {"serial_tag", "scanner", "keyboard_wedge"}
# Quick enough for a test and still a pause.
BACK_OFF = BackOff(first_s=0.05, most_s=0.2)


class Carrier(Protocol):
    """Where a software card is put."""

    faults: Faults

    def insert(self, card: VirtualCard) -> None: ...
    def remove(self) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Rig:
    """One carrier with the reader kind and the settings that reach it."""

    carrier: Carrier
    kind: ReaderKind
    settings: ReaderSettings

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """The reader, opened."""
        reader = self.kind.open(self.settings)
        try:
            yield reader
        finally:
            reader.close()

    @contextmanager
    def supervised(
        self, deadlines: Deadlines | None = None, log: Log | None = None
    ) -> Iterator[tuple[Log, Supervisor]]:
        """The reader under a supervisor, and what its listener hears."""
        log = log or Log()
        watched = examiner(deadlines=deadlines)
        supervisor = Supervisor(self.kind, self.settings, watched, log, BACK_OFF)
        supervisor.start()
        try:
            yield log, supervisor
        finally:
            supervisor.stop()


def rig(name: str, pcscd: Callable[[], Pcscd]) -> Rig:
    """Build the rig of one carrier."""
    if name == "pn532":
        device = Pn532Device()
        return Rig(device, nfc.READER, ReaderSettings(f"tty:{device.path}"))
    if name == "udp":
        air = NfcUdpCarrier()
        path = f"udp:127.0.0.1:{air.port}"
        return Rig(air, nfc.READER, ReaderSettings(path, allow_virtual=True))
    slot = VpcdCarrier("127.0.0.1", pcscd().ports[0])
    return Rig(slot, pcsc.READER, ReaderSettings(allow_virtual=True))


def present(reader: Reader) -> Presented:
    """The card that is there, or comes soon."""
    end = time.monotonic() + SOON_S
    while time.monotonic() < end:
        if presented := reader.wait_for_card(0.5):
            return presented
    pytest.fail("no card was presented")
