"""Keeps one reader at work: opens it, opens it again with back-off, and tells of cards and trouble.

What a card means is left to the listener.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from drivers.card import CardIdentity
from drivers.errors import DriverError, ReaderLost, ReaderRefused
from drivers.identify import Examiner
from drivers.loan import Loan
from drivers.reader import Presented, Reader, ReaderKind, ReaderSettings

# How long one wait for a card or for its removal lasts before the thread looks whether to stop.
SLICE_S = 0.25
# A stop waits for one exchange with a card and for the device to be given back.
STOP_S = 10.0

_log = logging.getLogger(__name__)


class Health(StrEnum):
    """How the device is."""

    OPENING = "opening"
    READY = "ready"
    CARD = "card"
    LOST = "lost"
    STOPPED = "stopped"


class Listener(Protocol):
    """Who is told. All calls come from the supervisor's thread, one after another."""

    def on_card(self, identity: CardIdentity, loan: Loan) -> None:
        """A card proved who it is; once for each time it is presented.

        The reader waits until ``loan``, which any thread may use, is given back.
        """

    def on_problem(self, problem: DriverError) -> None:
        """A card failed, once for each presentation, or the reader did, once for each outage."""

    def on_removed(self) -> None:
        """The card that was told of, or that failed, is gone, or its reader is."""


@dataclass(frozen=True, slots=True)
class BackOff:
    """Seconds between attempts to open: the first, doubled each time up to the most.

    A restart of pcscd or a cable pushed back in is over in a second or two; a device that stays
    away costs one attempt every few seconds.
    """

    first_s: float = 0.2
    most_s: float = 5.0

    def delay_s(self, failures: int) -> float:
        """Return the pause after this many failures in a row (at least 1)."""
        return min(self.most_s, self.first_s * 2.0 ** min(failures - 1, 30))


class Supervisor:
    """One device and its one thread. ``examiner.now`` is also this one's clock."""

    def __init__(
        self,
        kind: ReaderKind,
        settings: ReaderSettings,
        examiner: Examiner,
        listener: Listener,
        back_off: BackOff | None = None,
    ) -> None:
        self._kind, self._settings = kind, settings
        self._examiner, self._listener = examiner, listener
        self._back_off = back_off or BackOff()
        self._stop = threading.Event()
        self._failures = 0
        self._told = ""
        self._thread = threading.Thread(target=self._run, name=f"reader {kind.name}", daemon=True)
        self.health = Health.OPENING
        self.turned_at = examiner.now()

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End, and give the device back; not from a listener's call."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(STOP_S)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._use_reader_until_lost()
            except Exception:  # noqa: BLE001 - a thread that ended would be a kiosk that is dead
                _log.exception("the thread of reader '%s' failed and goes on", self._kind.name)
                self._pause()
        self.health = Health.STOPPED

    def _use_reader_until_lost(self) -> None:
        """Serve the reader; tell of its outage once, however many attempts that takes."""
        try:
            self._use_reader()
        except (ReaderLost, ReaderRefused) as problem:
            if self._told != problem.code:
                self._told = problem.code
                self._listener.on_problem(problem)
            self._pause()

    def _pause(self) -> None:
        """Wait before the next attempt."""
        self.health = Health.LOST
        self._failures += 1
        self._turn()
        self._stop.wait(self._back_off.delay_s(self._failures))

    def _use_reader(self) -> None:
        """Serve one opened reader until it is lost or the end is asked for."""
        self._turn()
        reader = self._kind.open(self._settings)
        try:
            while not self._stop.is_set():
                self.health = Health.READY
                presented = reader.wait_for_card(SLICE_S)
                self._failures, self._told = 0, ""
                self._turn()
                if presented is not None:
                    self.health = Health.CARD
                    self._examine(reader, presented)
                    self._await_removal(reader)
        finally:
            reader.close()

    def _examine(self, reader: Reader, presented: Presented) -> None:
        try:
            identity = self._examiner.identify(reader, presented)
        except ReaderLost:
            raise
        except DriverError as problem:
            self._listener.on_problem(problem)
        else:
            loan = Loan(reader, presented, self._examiner.deadlines, self._examiner.now)
            self._listener.on_card(identity, loan)
            loan.end(self._stop.is_set)
            self._turn()

    def _await_removal(self, reader: Reader) -> None:
        try:
            while not self._stop.is_set() and not reader.wait_for_removal(SLICE_S):
                self._turn()
        except ReaderLost:
            self._listener.on_removed()
            raise
        if not self._stop.is_set():
            self._listener.on_removed()

    def _turn(self) -> None:
        """Note that the loop goes round: what a watchdog may rely on."""
        self.turned_at = self._examiner.now()
