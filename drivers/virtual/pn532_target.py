"""What a PN532 finds in its field: a card of type A with or without ISO-DEP, or a FeliCa card."""

from __future__ import annotations

from typing import Protocol

from drivers.virtual.faults import Faults, FrameCard, VirtualCard
from drivers.virtual.iso_dep import IsoDepCard

SHORT_ANSWER = 1
"""Bytes in which the chip hands over the 4 bits of an ACK or NAK, which have no checksum."""

_TYPE_A_106, _FELICA = 0x00, (0x01, 0x02)  # BrTy of InListPassiveTarget (UM0701-02, 7.3.5)
_RATS = b"\xe0\x80"
_CASCADE_TAG = b"\x88"


class CrcError(Exception):
    """An answer without checksum came while the chip checked checksums."""


class Target(Protocol):
    """One card as the chip's commands see it."""

    def poll(self, modulation: int, wanted: bytes, *, rats: bool) -> bytes | None:
        """Target data of InListPassiveTarget behind its number; None when it is not found."""

    def frame(self, frame: bytes, *, checked: bool) -> bytes | None:
        """InCommunicateThru; without ``checked`` the answer's checksum comes along."""

    def data(self, data: bytes) -> bytes | None:
        """InDataExchange."""

    def power_off(self) -> None:
        """The field went off."""


def target_of(card: VirtualCard | FrameCard, faults: Faults) -> Target:
    """Return what the chip meets when ``card`` lies on it."""
    if not isinstance(card, FrameCard):
        return _IsoDep(card, faults)
    return _Felica(card, faults) if card.sel_res is None else _TypeA(card, faults)


class _IsoDep:
    def __init__(self, card: VirtualCard, faults: Faults) -> None:
        self._card, self._faults = card, faults
        self._iso_dep = IsoDepCard(self.data, card.reset, card.historical)

    def poll(self, modulation: int, wanted: bytes, *, rats: bool) -> bytes | None:
        if not _is_wanted(modulation, wanted, self._card.uid):
            return None
        self._iso_dep.power_off()
        answer = bytes.fromhex("034420") + bytes((len(self._card.uid),)) + self._card.uid
        return answer + (self._iso_dep.receive(_RATS) or b"") if rats else answer

    def frame(self, frame: bytes, *, checked: bool) -> bytes | None:
        del checked  # whoever talks ISO-DEP leaves the checksums to the chip
        return self._iso_dep.receive(frame)

    def data(self, data: bytes) -> bytes | None:
        return self._faults.exchange(self._card, data)

    def power_off(self) -> None:
        self._iso_dep.power_off()


class _TypeA:
    def __init__(self, card: FrameCard, faults: Faults) -> None:
        self._card, self._faults = card, faults

    def poll(self, modulation: int, wanted: bytes, *, rats: bool) -> bytes | None:
        del rats
        if not _is_wanted(modulation, wanted, self._card.uid):
            return None
        self._card.reset()
        sens_res = b"\x00\x04" if len(self._card.uid) == 4 else b"\x00\x44"
        head = sens_res + bytes((self._card.sel_res or 0, len(self._card.uid)))
        return head + self._card.uid

    def frame(self, frame: bytes, *, checked: bool) -> bytes | None:
        answer = self._faults.exchange(self._card, frame)
        if answer is None:
            return None
        if len(answer) == SHORT_ANSWER:
            if checked:
                raise CrcError
            return answer
        return answer if checked else answer + crc_a(answer)

    def data(self, data: bytes) -> bytes | None:
        return self._faults.exchange(self._card, data)

    def power_off(self) -> None:
        self._card.reset()


class _Felica:
    def __init__(self, card: FrameCard, faults: Faults) -> None:
        self._card, self._faults = card, faults

    def poll(self, modulation: int, wanted: bytes, *, rats: bool) -> bytes | None:
        del rats
        if modulation not in _FELICA:
            return None
        self._card.reset()
        return self._card.transmit(bytes((1 + len(wanted),)) + wanted)

    def frame(self, frame: bytes, *, checked: bool) -> bytes | None:
        del checked
        return self._faults.exchange(self._card, frame)

    def data(self, data: bytes) -> bytes | None:
        return self._faults.exchange(self._card, data)

    def power_off(self) -> None:
        self._card.reset()


def _is_wanted(modulation: int, wanted: bytes, uid: bytes) -> bool:
    named = uid if len(uid) == 4 else _CASCADE_TAG + uid
    return modulation == _TYPE_A_106 and (not wanted or wanted == named)


def crc_a(data: bytes) -> bytes:
    """CRC_A (ISO/IEC 14443-3, annex B): 2 bytes, least significant first."""
    register = 0x6363
    for byte in data:
        mixed = byte ^ register & 0xFF
        mixed = (mixed ^ mixed << 4) & 0xFF
        register = register >> 8 ^ mixed << 8 ^ mixed << 3 ^ mixed >> 4
    return register.to_bytes(2, "little")
