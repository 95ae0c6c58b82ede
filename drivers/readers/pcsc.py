"""Reader kind: any PC/SC reader, through pyscard's plain functions and the system's pcscd.

pyscard's CardMonitor ends for good when pcscd restarts, and its connections wait without a limit;
so the watching and the deadlines are here, and a restart shows as ReaderLost.
"""

from __future__ import annotations

import time
from importlib import import_module
from typing import Any

from drivers.apdu import ResponseApdu, tpdu_t0
from drivers.atr import storage_card, takes_extended_length
from drivers.errors import CardGone, CardRefused, DriverError, ReaderLost, ReaderRefused
from drivers.lane import Lane
from drivers.reader import Presented, Reader, ReaderKind, ReaderSettings, Technology

# vpcd listens on every interface and asks for no password: anybody may put a card into it.
VIRTUAL_PREFIX = "Virtual PCD"
# pcscd answers in milliseconds; a first start by its socket unit takes about a second.
OPEN_S = 5.0
# What a call may take beyond its own waiting before its thread is given up.
GRACE_S = 1.0
# A reader that was plugged in meanwhile is seen after this long.
LOOK_S = 1.0

_PRESENT, _MUTE, _CHANGED = 0x20, 0x200, 0x02  # SCARD_STATE_*; the upper half counts card events
_TIMEOUT, _NO_READERS = 0x8010000A, 0x8010002E
_GET_NUMBER = bytes.fromhex("FFCA000000")  # GET DATA to the reader (PC/SC part 3, 3.2.2.1.3)
_NO_LIBRARY = "pyscard is not installed; it comes with the extra 'pcsc' and needs libpcsclite"

# No card, not transacted, unresponsive, unpowered, reset by another, removed.
_CARD_GONE = {0x8010000C, 0x80100016, 0x80100066, 0x80100067, 0x80100068, 0x80100069}


def _check(code: int, step: str) -> None:
    """Raise what a return code of PC/SC means (its sign differs by build)."""
    number = code & 0xFFFFFFFF
    if number in _CARD_GONE:
        raise CardGone(f"{step}: {number:08X}")
    if number:
        raise ReaderLost(f"{step}: {number:08X}")


class PcscReader:
    """All allowed readers of one PC/SC context, watched as one; ``open_pcsc`` makes it."""

    def __init__(self, settings: ReaderSettings, scard: Any) -> None:
        self._settings = settings
        self._scard = scard
        self._lane = Lane("pcsc")
        self._context: Any = None
        self._card: Any = None
        self._t0 = False
        self._states: dict[str, int] = {}
        self._shown = ("", 0)

    def connect(self) -> None:
        """Reach pcscd and see that a usable reader is there."""
        self._lane.call(self._establish, OPEN_S)

    def wait_for_card(self, timeout_s: float) -> Presented | None:
        """See Reader."""
        return self._lane.call(lambda: self._await_card(timeout_s), timeout_s + GRACE_S)

    def transmit(self, command: bytes, deadline_s: float) -> bytes:
        """See Reader."""
        return self._lane.call(lambda: self._transmit(command), deadline_s)

    def wait_for_removal(self, timeout_s: float) -> bool:
        """See Reader."""
        return self._lane.call(lambda: self._await_removal(timeout_s), timeout_s + GRACE_S)

    def close(self) -> None:
        """See Reader."""
        self._lane.end(self._release, GRACE_S)

    def _establish(self) -> None:
        code, self._context = self._scard.SCardEstablishContext(self._scard.SCARD_SCOPE_USER)
        _check(code, "reach pcscd")
        self._usable_readers()

    def _usable_readers(self) -> list[str]:
        """Names of the readers that may be used; ReaderLost or ReaderRefused when there is none."""
        code, names = self._scard.SCardListReaders(self._context, [])
        if code & 0xFFFFFFFF == _NO_READERS or not names:
            raise ReaderLost("no PC/SC reader is connected")
        _check(code, "list the readers")
        usable = [name for name in names if self._allowed(name)]
        if not usable:
            raise ReaderRefused(f"not allowed by the configuration: {', '.join(names)}")
        return usable

    def _allowed(self, name: str) -> bool:
        starts = self._settings.names or ("",)
        virtual = name.startswith(VIRTUAL_PREFIX) and not self._settings.allow_virtual
        return not virtual and name.startswith(self._settings.path) and name.startswith(starts)

    def _changes(self, known: dict[str, int], wait_s: float) -> list[tuple[str, int, list[int]]]:
        """Return (reader, state, ATR) of all, at once when one differs from ``known``."""
        wait_ms = max(0, int(wait_s * 1000))
        code, changes = self._scard.SCardGetStatusChange(
            self._context, wait_ms, list(known.items())
        )
        if code & 0xFFFFFFFF != _TIMEOUT:
            _check(code, "watch the readers")
        return list(changes)

    def _await_card(self, timeout_s: float) -> Presented | None:
        end = time.monotonic() + timeout_s
        while True:
            left = end - time.monotonic()
            known = {name: self._states.get(name, 0) for name in self._usable_readers()}
            self._states = {}
            found = None
            for name, state, atr in self._changes(known, min(left, LOOK_S)):
                self._states[name] = state & ~_CHANGED
                # pcscd tells of a card before it has its ATR, and again when it has.
                if state & _PRESENT and (atr or state & _MUTE) and not found:
                    found = name, state, bytes(atr)
            if found and (presented := self._hold(*found)):
                return presented
            if left <= 0:
                return None

    def _hold(self, name: str, state: int, atr: bytes) -> Presented | None:
        """Connect to the card for this program alone; None when it is gone again."""
        self._disconnect()  # of who asks again for the card that lies there
        self._shown = name, state
        if state & _MUTE:
            return Presented(name, b"", technology=Technology.NUMBER)
        scard = self._scard
        protocols = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        code, card, protocol = scard.SCardConnect(
            self._context, name, scard.SCARD_SHARE_EXCLUSIVE, protocols
        )
        try:
            _check(code, "connect to the card")
        except CardGone:
            return None
        self._card, self._t0 = card, protocol == scard.SCARD_PROTOCOL_T0
        if storage := storage_card(atr):
            return self._storage(name, storage.card_name)
        extended = not self._t0 and takes_extended_length(atr)
        return Presented(name, atr, extended=extended)

    def _storage(self, name: str, card_name: int) -> Presented | None:
        """A card that the reader only describes, with its number; None when it is gone again."""
        try:
            number = self._number()
        except CardGone:
            if not self._is_there():
                return None
            number = None
        only_a_number = Technology.NUMBER
        return Presented(name, b"", number, technology=only_a_number, card_name=card_name)

    def _number(self) -> bytes | None:
        """Ask the reader for the number of such a card; None if it won't tell, CardGone."""
        try:
            response = ResponseApdu.decode(self._transmit(_GET_NUMBER))
        except CardRefused:
            return None
        return response.data if response.ok else None

    def _is_there(self) -> bool:
        """Whether the card that failed can be selected anew."""
        scard = self._scard
        protocols = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        code, _ = scard.SCardReconnect(
            self._card, scard.SCARD_SHARE_EXCLUSIVE, protocols, scard.SCARD_UNPOWER_CARD
        )
        return bool(code == scard.SCARD_S_SUCCESS)

    def _transmit(self, command: bytes) -> bytes:
        if self._card is None:
            raise CardGone("no card is connected")
        scard = self._scard
        protocol = scard.SCARD_PCI_T0 if self._t0 else scard.SCARD_PCI_T1
        sent = tpdu_t0(command) if self._t0 else command
        code, answer = scard.SCardTransmit(self._card, protocol, list(sent))
        _check(code, "exchange with the card")
        if not answer:
            raise CardGone("the reader has no answer")
        return bytes(answer)

    def _await_removal(self, timeout_s: float) -> bool:
        """Gone is also a card that another one has replaced: the event count tells."""
        name, shown = self._shown
        state, end = shown, time.monotonic() + timeout_s
        while True:
            left = end - time.monotonic()
            ((_, state, _),) = self._changes({name: state & ~_CHANGED}, left)
            if not state & _PRESENT or state >> 16 != shown >> 16:
                self._disconnect()
                return True
            if left <= 0:
                return False

    def _disconnect(self) -> None:
        if self._card is not None:
            self._scard.SCardDisconnect(self._card, self._scard.SCARD_UNPOWER_CARD)
            self._card = None

    def _release(self) -> None:
        self._disconnect()
        if self._context is not None:
            self._scard.SCardReleaseContext(self._context)
            self._context = None


def open_pcsc(settings: ReaderSettings) -> Reader:
    """Open all PC/SC readers that ``settings`` allows; ``path`` is the start of a reader's name."""
    try:
        scard = import_module("smartcard.scard")
    except ImportError as error:
        raise ReaderRefused(_NO_LIBRARY) from error
    reader = PcscReader(settings, scard)
    try:
        reader.connect()
    except DriverError:
        reader.close()
        raise
    return reader


READER = ReaderKind(name="pcsc", open=open_pcsc)
