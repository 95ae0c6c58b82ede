"""What a member and a card are, and which steps a card may take. Pure."""

from __future__ import annotations

from typing import NamedTuple

from cloud.errors import CardCancelled
from protocol.member_list import CardState, Snapshot
from protocol.membership.state import State


class Member(NamedTuple):
    """A member with the account as the ledger has it."""

    member: str
    name: str
    created_ms: int
    state: State


class MemberCard(NamedTuple):
    """A card as it was issued."""

    reference: bytes
    member: str
    family: str
    card_type: str
    state: CardState
    created_ms: int
    changed_ms: int
    number: bytes | None = None  # its UID, where the cloud checks what it proves


class Changes(NamedTuple):
    """Members that changed behind ``base``; with them a terminal stands at ``list_version``."""

    base: int
    list_version: int
    members: tuple[Snapshot, ...]
    complete: bool


def check_step(before: CardState, after: CardState) -> None:
    """CardCancelled when the card is cancelled and should become something else."""
    if before is CardState.CANCELLED and after is not CardState.CANCELLED:
        raise CardCancelled
