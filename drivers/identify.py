"""Which card is this? Asks the known card families in order of certainty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import drivers.cards
from drivers.card import CardIdentity, CardKind, CardTrust, Dialogue, FrameDialogue
from drivers.errors import CardSilent, CardUnknown
from drivers.exchange import Deadlines, hold, hold_frames
from drivers.reader import Presented, Reader, Technology
from protocol.plugins import discover

# A card at the edge of the field may miss a frame and be found again: silence counts when it comes
# twice. The one family of Type 2 cards then takes 0.8 s of the 2 s that a person holds a card.
TIMES_ASKED = 2


def card_kinds() -> tuple[CardKind, ...]:
    """Return every family in drivers/cards, the surest first."""
    found = discover(drivers.cards, "CARD", CardKind).values()
    return tuple(sorted(found, key=lambda kind: (kind.assurance, kind.is_last, kind.name)))


def _may_be(kind: CardKind, presented: Presented) -> bool:
    """Whether to ask ``kind``: a number is enough where nothing can be proved with APDUs."""
    by_number = kind.technology is Technology.NUMBER
    return kind.technology is presented.technology or (
        by_number and presented.technology is not Technology.APDU
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Examiner:
    """What an identification needs: families, trust (asked for each card), world.

    ``nonce`` gives NONCE_BYTES fresh random bytes; ``now`` is a monotonic clock in seconds.
    """

    kinds: tuple[CardKind, ...]
    trust: Callable[[], CardTrust]
    nonce: Callable[[], bytes]
    now: Callable[[], float]
    deadlines: Deadlines = field(default_factory=Deadlines)

    def identify(self, reader: Reader, presented: Presented) -> CardIdentity:
        """Return who the presented card is; CardUnknown when no family knows it.

        A card that takes frames and stays silent to a family's first one is not of that family;
        one that is silent later, or is no longer there, fails and is never taken by its number.
        """
        trust = self.trust()
        for kind in self.kinds:
            if _may_be(kind, presented) and (trust.site is not None or not kind.needs_site):
                try:
                    return self._ask(kind, trust, reader, presented)
                except CardUnknown:
                    continue
        raise CardUnknown

    def _ask(
        self, kind: CardKind, trust: CardTrust, reader: Reader, presented: Presented
    ) -> CardIdentity:
        if kind.technology is Technology.APDU:
            apdus = cast("Dialogue", kind.identify(trust, presented, self.nonce()))
            return hold(apdus, reader, self.deadlines, self.now, extended=presented.extended)
        for _ in range(TIMES_ASKED):
            frames = cast("FrameDialogue", kind.identify(trust, presented, self.nonce()))
            try:
                return hold_frames(frames, reader, self.deadlines, self.now)
            except CardSilent:
                continue
        raise CardUnknown("silent")
