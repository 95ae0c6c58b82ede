"""A card in front of a real reader, as the card desk works on it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

from drivers.apdu import Outcome, Steps
from drivers.errors import CardGone
from drivers.exchange import Deadlines, hold, hold_frames
from drivers.reader import Presented, Reader, Technology
from provisioning.errors import NoCard

# A card that lies there is found again at once.
AGAIN_S = 5.0
# A contact card makes its key pair in some seconds.
DEADLINES = Deadlines(exchange_s=20.0, dialogue_s=60.0)


@dataclass(frozen=True, slots=True)
class ReaderBench:
    """provisioning.personalisation.Bench; ``now`` is a monotonic clock in seconds."""

    reader: Reader
    now: Callable[[], float]
    presented: Presented

    @classmethod
    def wait(cls, reader: Reader, now: Callable[[], float], present_s: float) -> ReaderBench:
        """Return the bench once a card lies there; NoCard."""
        presented = reader.wait_for_card(present_s)
        if presented is None:
            raise NoCard
        return cls(reader, now, presented)

    def hold(self, dialogue: Steps[Outcome]) -> Outcome:
        """See Bench."""
        extended = self.presented.extended
        return hold(dialogue, self.reader, DEADLINES, self.now, extended=extended)

    def hold_frames(self, dialogue: Generator[bytes, bytes, Outcome]) -> Outcome:
        """See Bench."""
        return hold_frames(dialogue, self.reader, DEADLINES, self.now)

    def again(self) -> None:
        """See Bench; an APDU card is selected anew by the first command of each dialogue."""
        if self.presented.technology not in (Technology.TYPE_2, Technology.FELICA):
            return
        found = self.reader.wait_for_card(AGAIN_S)
        if found is None or found.uid != self.presented.uid:
            raise CardGone
