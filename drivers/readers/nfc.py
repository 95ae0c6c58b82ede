"""Reader kind: contactless readers that nfcpy drives (USB, a PN532 on a serial line, its udp link).

Cards are found by looking often; a card counts as gone when it cannot be found for a while.
"""

from __future__ import annotations

import time
from importlib import import_module
from itertools import cycle
from typing import Any

from drivers.atr import from_ats, takes_extended_length
from drivers.errors import (
    CardGone,
    CardSilent,
    DriverError,
    ExchangeTimeout,
    ReaderLost,
    ReaderRefused,
)
from drivers.lane import Lane
from drivers.reader import Presented, Reader, ReaderKind, ReaderSettings, Technology

UDP_PREFIX = "udp"
# A PN532 on a line answers within 0.1 s; one behind a Raspberry Pi's USB takes up to 1.5 s.
OPEN_S = 5.0
# What a call may take beyond its own waiting before its thread is given up; nfcpy's udp link looks
# for a whole second, and on the others every step ends by itself well before.
GRACE_S = 1.5
# Between two looks for a card. A look takes a real PN532 about 10 ms, so that in a busy hour a card
# is found about 10 ms after it came; when nobody comes, the processor rests for most of the time
# and the first card waits 20 ms longer, which nobody notices.
BUSY_PAUSE_S = 0.005
IDLE_PAUSE_S = 0.025
IDLE_AFTER_S = 30.0
# Between two questions whether the card is still there.
STAY_PAUSE_S = 0.02
# A card at the edge of the field comes and goes; nobody takes one away and brings it back so fast.
ABSENCE_S = 0.05

# Most member cards are type A, some are FeliCa; type B is looked for now and then, to tell a person
# that this card is not one. nfcpy's udp link waits a second for each technology: type A alone.
_LOOKS = (("106A",), ("106A", "212F")) * 4 + (("106A",), ("106A", "106B"))
_UDP_LOOKS = (("106A",),)


# A card that comes into the field has too little power for its first answer now and then.
ACTIVATIONS = 3

# Bits of SAK that say ISO/IEC 14443-4, or MIFARE Classic and its kin (NXP AN10833, section 3).
_SAK_ISO_DEP, _SAK_MORE = 0x20, 0x78
_B_ISO_DEP, _B_PROTOCOL_AT = 0x01, 10  # in SENSB_RES (ISO/IEC 14443-3, 7.9.4.4)


def _speaks_iso_dep(target: Any) -> bool:
    """Whether a found card says that it takes APDUs."""
    if target.brty.endswith("A"):
        return bool(target.sel_res and target.sel_res[0] & _SAK_ISO_DEP)
    return bool(target.brty.endswith("B") and target.sensb_res[_B_PROTOCOL_AT] & _B_ISO_DEP)


def _technology(target: Any) -> Technology:
    """Return what can be said to a card that does not take APDUs."""
    if target.brty.endswith("F"):
        return Technology.FELICA
    is_type_2 = target.brty.endswith("A") and target.sel_res and not target.sel_res[0] & _SAK_MORE
    return Technology.TYPE_2 if is_type_2 else Technology.NUMBER


def _number(target: Any) -> bytes:
    """Return the number by which a card answers: UID (A), PUPI (B) or IDm (F)."""
    if target.brty.endswith("A"):
        return bytes(target.sdd_res or b"")
    return bytes(target.sensb_res[1:5] if target.brty.endswith("B") else target.sensf_res[1:9])


class NfcReader:
    """One contactless reader; ``open_nfc`` makes it. All of nfcpy runs on the lane's thread."""

    def __init__(self, settings: ReaderSettings, library: Any) -> None:
        self._path = settings.path or "usb"
        self._frontend = library.Frontend()
        self._air_errors, self._silence = library.AirError, library.Silence
        self._lane = Lane(f"nfc {self._path}")
        self._looks = cycle(_UDP_LOOKS if self._path.startswith(UDP_PREFIX) else _LOOKS)
        self._idle_from = self._seen_at = 0.0
        self._target: Any = None
        self._tag: Any = None
        self._native: Technology | None = None  # of a card that takes frames

    def connect(self) -> None:
        """Open the device and see that it answers as a reader."""
        self._call(lambda: self._frontend.attach(self._path), OPEN_S)

    def wait_for_card(self, timeout_s: float) -> Presented | None:
        """See Reader."""
        found: Presented | None = self._call(lambda: self._await_card(timeout_s), timeout_s)
        return found

    def transmit(self, command: bytes, deadline_s: float) -> bytes:
        """See Reader."""
        answer: bytes = self._call(lambda: self._transmit(command, deadline_s), deadline_s)
        return answer

    def wait_for_removal(self, timeout_s: float) -> bool:
        """See Reader."""
        gone: bool = self._call(lambda: self._await_removal(timeout_s), timeout_s)
        return gone

    def close(self) -> None:
        """See Reader."""
        if self._lane.stuck:
            self._frontend.cut()
        self._lane.end(self._frontend.detach, GRACE_S)

    def _call(self, work: Any, waiting_s: float) -> Any:
        """Run ``work`` on the lane; whatever nfcpy raises means that the reader failed."""
        try:
            return self._lane.call(work, waiting_s + GRACE_S)
        except DriverError:
            raise
        except Exception as error:
            # nfcpy indexes, unpacks and asserts its way through garbage, so that a broken reader
            # shows as IndexError, struct.error or AssertionError as well as OSError.
            raise ReaderLost(f"{type(error).__name__}: {error}") from error

    def _await_card(self, timeout_s: float) -> Presented | None:
        end = time.monotonic() + timeout_s
        while True:
            target = self._frontend.look(*next(self._looks))
            now = time.monotonic()
            if target is not None and (presented := self._hold(target)):
                self._idle_from = now + IDLE_AFTER_S
                return presented
            if now >= end:
                return None
            time.sleep(BUSY_PAUSE_S if now < self._idle_from else IDLE_PAUSE_S)

    def _hold(self, target: Any) -> Presented | None:
        """Start talking to the card; None when it is gone again."""
        self._target, self._seen_at, self._native = target, time.monotonic(), None
        self._tag = self._activated(target)
        for _ in range(ACTIVATIONS - 1):
            if self._tag is not None or not _speaks_iso_dep(target):
                break
            if not self._is_there():
                return None
            self._tag = self._activated(target)
        if self._tag is None and _speaks_iso_dep(target):
            return Presented(self._path, b"", _number(target))  # whose every exchange is CardGone
        if self._tag is None:
            self._native = _technology(target)
            sak = target.sel_res[0] if target.sel_res else None
            return Presented(self._path, b"", _number(target), technology=self._native, sak=sak)
        atr = from_ats(self._frontend.ats)
        return Presented(self._path, atr, _number(target), extended=takes_extended_length(atr))

    def _activated(self, target: Any) -> Any:
        """Nfcpy's tag for a card that takes APDUs; None when it did not answer, or garbage."""
        try:
            return self._frontend.activate(target)
        except (*self._air_errors, LookupError, ValueError, TypeError):
            return None

    def _transmit(self, command: bytes, deadline_s: float) -> bytes:
        if self._tag is None and self._native in (None, Technology.NUMBER):
            raise CardGone("no card is connected")
        self._frontend.deadline = time.monotonic() + deadline_s
        try:
            if self._tag is not None:
                answer = bytes(self._tag.transceive(bytearray(command)))
            else:
                answer = bytes(self._frontend.exchange(bytearray(command), deadline_s))
            self._seen_at = time.monotonic()
            return answer
        except self._air_errors as error:
            native, self._tag, self._native = self._native, None, None
            if not self._is_there():
                raise CardGone(str(error)) from error
            if native is None or not isinstance(error, self._silence):
                raise ExchangeTimeout(str(error)) from error
            self._native = native  # looking for the card has selected it anew
            raise CardSilent(str(error)) from error
        finally:
            self._frontend.deadline = float("inf")

    def _await_removal(self, timeout_s: float) -> bool:
        """Gone is a card that neither answers nor is found for ABSENCE_S."""
        end = time.monotonic() + timeout_s
        while True:
            there = self._is_there()
            now = time.monotonic()
            if there:
                self._seen_at = now
            elif now - self._seen_at >= ABSENCE_S:
                return True
            if now >= end:
                return False
            time.sleep(STAY_PAUSE_S if there else BUSY_PAUSE_S)

    def _is_there(self) -> bool:
        """Whether the presented card is still there; another one in its place is not it."""
        if self._tag is not None and self._tag.is_present:
            return True
        self._tag = None
        target = self._frontend.look(self._target.brty)
        return target is not None and _number(target) == _number(self._target)


def open_nfc(settings: ReaderSettings) -> Reader:
    """Open the reader at ``path``: ``usb``, ``tty:/dev/NAME`` (PN532), ``udp:HOST:PORT``.

    The udp link listens on every interface and asks for no password, so it counts as virtual.
    """
    if settings.path.startswith(UDP_PREFIX) and not settings.allow_virtual:
        raise ReaderRefused("nfcpy's udp link is for tests")
    try:
        library = import_module("drivers.nfc_frontend")
    except ImportError as error:
        raise ReaderRefused(f"nfcpy is not installed ({error.name})") from error
    reader = NfcReader(settings, library)
    try:
        reader.connect()
    except DriverError:
        reader.close()
        raise
    return reader


READER = ReaderKind(name="nfc", open=open_nfc)
