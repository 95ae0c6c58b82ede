"""Which card is this? Asks the known card families in order of certainty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import drivers.cards
from drivers.card import CardIdentity, CardKind, CardTrust
from drivers.errors import CardUnknown
from drivers.exchange import Deadlines, hold
from drivers.reader import Presented, Reader
from protocol.plugins import discover


def card_kinds() -> tuple[CardKind, ...]:
    """Return every family in drivers/cards, the surest first."""
    found = discover(drivers.cards, "CARD", CardKind).values()
    return tuple(sorted(found, key=lambda kind: (kind.assurance, kind.name)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Examiner:
    """What an identification needs: families, trust (asked each time, as days pass), world.

    ``nonce`` gives NONCE_BYTES fresh random bytes; ``now`` is a monotonic clock in seconds.
    """

    kinds: tuple[CardKind, ...]
    trust: Callable[[], CardTrust]
    nonce: Callable[[], bytes]
    now: Callable[[], float]
    deadlines: Deadlines = field(default_factory=Deadlines)

    def identify(self, reader: Reader, presented: Presented) -> CardIdentity:
        """Return who the presented card is; CardUnknown when no family knows it."""
        kinds = self.kinds if presented.takes_apdus else ()
        for kind in kinds:
            dialogue = kind.identify(self.trust(), self.nonce())
            try:
                return hold(dialogue, reader, self.deadlines, self.now, extended=presented.extended)
            except CardUnknown:
                continue
        raise CardUnknown
