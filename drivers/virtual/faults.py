"""What may befall a software card's exchanges: cut, silence, garbage, delay; carriers frame."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable


class VirtualCard(Protocol):
    """The card's side of one family: bytes in, bytes out, never an exception."""

    @property
    def atr(self) -> bytes:
        """Answer to reset, complete with TCK where one is due."""

    @property
    def historical(self) -> bytes:
        """Historical bytes (ISO/IEC 7816-4, 12.1.1), at most 15: the ATR's, and the ATS's too."""

    @property
    def uid(self) -> bytes:
        """Type A identifier, seven bytes."""

    def reset(self) -> None:
        """Power was lost: volatile state goes, stored state stays."""

    def transmit(self, apdu: bytes) -> bytes:
        """Answer one command APDU with data and status word."""


@runtime_checkable
class FrameCard(Protocol):
    """The card's side of a family without APDUs: frames without CRC, FeliCa's with their length."""

    @property
    def sel_res(self) -> int | None:
        """SAK of a type A card (ISO/IEC 14443-3, 6.5.3.4); None for FeliCa."""

    @property
    def uid(self) -> bytes:
        """Type A identifier of 4 or 7 bytes, or IDm."""

    def reset(self) -> None:
        """The field went off or the card was selected again: volatile state goes."""

    def transmit(self, frame: bytes) -> bytes | None:
        """Answer one frame; None is silence."""


class Answering(Protocol):
    """Either kind of card: what is said to it, and its answer."""

    def transmit(self, command: bytes, /) -> bytes | None: ...


class CardLeft(Exception):
    """The card was torn out in the middle of an exchange; the carrier ends its presence."""


@dataclass(slots=True)
class Faults:
    """Faults of one carrier; any thread sets them, the carrier looks once per APDU.

    `silent`: the card does not answer and does not run the command.  `garbage`: these bytes
    replace every answer.  `latency_ms`: modelled time of the card, added to each APDU; the
    contactless card does not ask for more time, so it stays below the 309 ms of its ATS.
    """

    silent: bool = False
    garbage: bytes | None = None
    latency_ms: float = 0.0
    _cut: tuple[int, bool] | None = field(default=None, repr=False)

    def cut_after(self, apdus: int, *, answer_lost: bool = False) -> None:
        """Let the card leave at the n-th APDU from now (1 = the next one), once.

        It leaves before it runs the command, or, with `answer_lost`, after it ran it and before
        the answer came through.
        """
        if apdus < 1:
            raise ValueError("cut_after counts from 1")
        self._cut = (apdus, answer_lost)

    def clear(self) -> None:
        """Back to a faultless carrier."""
        self.silent, self.garbage, self.latency_ms, self._cut = False, None, 0.0, None

    def exchange(self, card: Answering, apdu: bytes) -> bytes | None:
        """Run one APDU under the faults; None is silence.  Raises CardLeft."""
        cut, answer_lost = self._count()
        if cut and not answer_lost:
            raise CardLeft
        if self.silent and not cut:
            return None
        if self.latency_ms:
            time.sleep(self.latency_ms / 1000)
        answer = card.transmit(apdu)
        if cut:
            raise CardLeft
        return answer if self.garbage is None else self.garbage

    def _count(self) -> tuple[bool, bool]:
        if self._cut is None:
            return False, False
        left, answer_lost = self._cut
        self._cut = (left - 1, answer_lost) if left > 1 else None
        return left == 1, answer_lost
