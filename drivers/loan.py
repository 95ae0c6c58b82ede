"""The card in front of a reader, lent to another thread while the reader's own one waits."""

from __future__ import annotations

import threading
from collections.abc import Callable

from drivers.apdu import Outcome, Steps
from drivers.errors import CardGone
from drivers.exchange import Deadlines, hold
from drivers.reader import Presented, Reader

# Who was told of a card asks for its dialogues at once, or has nothing to ask.
LOAN_S = 6.0
_SLICE_S = 0.25


class Loan:
    """Made by the reader's thread, which then waits in ``end``; the rest is for the borrower."""

    def __init__(
        self, reader: Reader, presented: Presented, deadlines: Deadlines, now: Callable[[], float]
    ) -> None:
        self._reader, self._presented = reader, presented
        self._deadlines, self._now = deadlines, now
        self._over = threading.Event()
        self._carrying = threading.Lock()

    def carry(self, dialogue: Steps[Outcome]) -> Outcome:
        """Return what ``dialogue`` returns; DriverError, CardGone once the loan is over."""
        with self._carrying:
            if self._over.is_set():
                dialogue.close()
                raise CardGone("the card was asked for too late")
            extended = self._presented.extended
            return hold(dialogue, self._reader, self._deadlines, self._now, extended=extended)

    def release(self) -> None:
        """Give the card back; may be called again."""
        self._over.set()

    def end(self, stopped: Callable[[], bool]) -> None:
        """Return once the card was given back, or LOAN_S are over, or ``stopped``.

        A dialogue that is under way is waited for: two threads on one device would mix answers.
        """
        end = self._now() + LOAN_S
        while not self._over.wait(_SLICE_S) and not stopped() and self._now() < end:
            pass
        self._over.set()
        with self._carrying:
            pass
