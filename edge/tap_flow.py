"""What happens between an order and its answer, as one table. Acting is left to the agent."""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """What a person in front of the terminal may do now."""

    ATTRACT = "attract"  # nothing waits; a card shows its balance
    WAITING_CARD = "waiting_card"  # an order waits for a card
    WORKING = "working"  # a record is being written
    RESULT = "result"  # the answer to the last tap
    CANNOT_ACCEPT = "cannot_accept"  # the disk refuses
