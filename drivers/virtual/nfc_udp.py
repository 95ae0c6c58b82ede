"""A Type 4A card on loopback datagrams, before nfcpy's udp reader; ISO-DEP is iso_dep's."""

from __future__ import annotations

import socket
import threading
from functools import reduce
from operator import xor

from drivers.virtual.faults import CardLeft, Faults, VirtualCard
from drivers.virtual.iso_dep import IsoDepCard

SENS_RES = b"\x44\x03"
"""Seven-byte identifier, bit frame anticollision."""

SEL_RES = b"\x20"
"""Identifier complete, ISO/IEC 14443-4 compliant."""

UID_NOT_COMPLETE = b"\x04"
_MODULATION = b"106A"
_LONGEST_DATAGRAM = 2048
_WAKE = b""
"""An empty datagram from ourselves: look at the stop flag."""


class TypeACard:
    """Anticollision of one seven-byte identifier (ISO/IEC 14443-3, 6.5), then ISO-DEP; pure."""

    def __init__(self, uid: bytes, iso_dep: IsoDepCard) -> None:
        first, second = b"\x88" + uid[:3], uid[3:]
        self._iso_dep = iso_dep
        self._answers = {b"\x26": SENS_RES, b"\x52": SENS_RES}
        for level, part, sak in ((0x93, first, UID_NOT_COMPLETE), (0x95, second, SEL_RES)):
            checked = part + bytes([reduce(xor, part)])
            self._answers[bytes([level, 0x20])] = checked
            self._answers[bytes([level, 0x70]) + checked] = sak

    def receive(self, frame: bytes) -> bytes | None:
        """Answer one frame; None is silence."""
        if frame in (b"\x26", b"\x52"):
            self._iso_dep.power_off()
        return self._answers.get(frame) or self._iso_dep.receive(frame)

    def power_off(self) -> None:
        """The field went away."""
        self._iso_dep.power_off()


class NfcUdpCarrier:
    """The air before a udp reader: one thread answers on 127.0.0.1; port 0 finds a free one."""

    def __init__(self, port: int = 0) -> None:
        self.faults = Faults()
        self._card: TypeACard | None = None
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        self._stopping = False
        self._thread = threading.Thread(target=self._serve, name=f"udp {self.port}", daemon=True)
        self._thread.start()

    def insert(self, card: VirtualCard) -> None:
        """Lay a card on the reader."""
        iso_dep = IsoDepCard(
            lambda apdu: self.faults.exchange(card, apdu), card.reset, card.historical
        )
        self._card = TypeACard(card.uid, iso_dep)

    def remove(self) -> None:
        """Take the card away, also in the middle of an exchange."""
        self._card = None

    def close(self) -> None:
        """End the thread and free the port."""
        if self._thread.is_alive():
            self._stopping = True
            self._socket.sendto(_WAKE, ("127.0.0.1", self.port))
            self._thread.join()
            self._socket.close()

    def _serve(self) -> None:
        while True:
            datagram, reader = self._socket.recvfrom(_LONGEST_DATAGRAM)
            if self._stopping:
                return
            answer = self._answer(datagram)
            if answer is not None:
                self._socket.sendto(_MODULATION + b" " + answer.hex().encode(), reader)

    def _answer(self, datagram: bytes) -> bytes | None:
        """Take `106A 0011..` apart; another modulation or no such text is not for this card."""
        card, words = self._card, datagram.split()
        if card and datagram.startswith(b"RFOFF"):
            card.power_off()
        if not card or len(words) != 2 or words[0] != _MODULATION:
            return None
        try:
            answer = card.receive(bytes.fromhex(words[1].decode("ascii")))
        except ValueError:
            return None
        except CardLeft:
            self._card = None
            return None
        return answer if self._card is card else None
