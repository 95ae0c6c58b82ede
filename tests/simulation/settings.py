"""How bad a simulated world is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Settings:
    """Probabilities of faults; drawn from the seed unless a test plants a bug."""

    loss: float
    duplication: float
    crash: float
    answer_first: bool = False  # bug: the screen says yes before the disk does
    watermark_first: bool = False  # bug: the receipt goes out before the commit
    list_claims: int = 0  # bug: the list says that it has more of our records than it has

    def heal(self) -> None:
        """From now on nothing fails; a planted bug stays."""
        self.loss = self.duplication = self.crash = 0
