"""Readers that keep what is said: to a PN532 by the real driver, to a card by a dialogue."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from drivers.reader import Presented, Reader
from drivers.virtual.faults import Faults
from drivers.virtual.pn532 import Pn532Chip, Pn532Device
from drivers.virtual.pn532_frames import ACK, response_frame
from tests.bench.latency import Exchange, HostCommand

# Bytes of a host's frame around its command: 00 00 FF LEN LCS D4, DCS 00 (UM0701-02, 6.2.1.1).
_FRAME_BYTES = 8
# Codes of the commands that reach the card, and where in them the card's bytes begin.
_TO_CARD = {0x4A: 3, 0x42: 1, 0x40: 2}
_STATUS_BYTES = 1


class _Chip(Pn532Chip):
    def __init__(self, faults: Faults, said: list[HostCommand]) -> None:
        super().__init__(faults)
        self._said = said

    def run(self, body: bytes) -> bytes | None:
        data = super().run(body)
        answer = data or b""
        start = _TO_CARD.get(body[0])
        reached = start is not None and len(answer) > _STATUS_BYTES
        air = Exchange(body[start:], answer[_STATUS_BYTES:]) if reached else None
        line_bytes = _FRAME_BYTES + len(body) + len(ACK) + len(response_frame(body[0], answer))
        self._said.append(HostCommand(line_bytes, air))
        return data


class OverheardPn532(Pn532Device):
    """A PN532 on its pseudo-terminal that keeps each command of its host in ``said``."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[HostCommand] = []
        self._chip = _Chip(self.faults, self.said)


@dataclass
class StopwatchReader:
    """A reader that keeps what was said through it, and how long that took apart from the rest."""

    reader: Reader
    said: list[Exchange] = field(default_factory=list)
    away_s: float = 0.0

    def wait_for_card(self, timeout_s: float) -> Presented | None:
        """See Reader."""
        return self.reader.wait_for_card(timeout_s)

    def transmit(self, command: bytes, deadline_s: float) -> bytes:
        """See Reader."""
        start = time.perf_counter()
        answer = self.reader.transmit(command, deadline_s)
        self.away_s += time.perf_counter() - start
        self.said.append(Exchange(command, answer))
        return answer

    def wait_for_removal(self, timeout_s: float) -> bool:
        """See Reader."""
        return self.reader.wait_for_removal(timeout_s)

    def close(self) -> None:
        """See Reader."""
        self.reader.close()
