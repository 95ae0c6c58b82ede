"""What a terminal must know of the members to decide alone, as a feed of changes.

The feed is complete: members that a message does not name have not changed since ``base``. So
after applying it the terminal knows every member as the ledger did when its own records up to
(epoch, upto_seq) were in; its own later records come on top.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from msgspec import Struct

from protocol.codec import decode, encode
from protocol.membership.state import State
from protocol.record import Code, Count, Ident
from protocol.signing import Purpose, SigningKey, VerifyingKey, open_signed, sign

# About 100 bytes each: a message usually stays under 32 KiB.
MEMBERS_MAX = 250
# Signed, of a list with more than one member. Brokers take 1 MiB, and end the connection of whoever
# sends more.
LIST_BYTES_MAX = 256 * 1024


class CardState(IntEnum):
    """Whether a card may be used."""

    ACTIVE = 0
    FROZEN = 1
    LOST = 2
    CANCELLED = 3


class CardEntry(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A card of a member."""

    reference: Ident
    state: CardState = CardState.ACTIVE


class Snapshot(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One member with all cards; ``member`` is the ledger's pseudonym, never a name."""

    member: Code
    cards: tuple[CardEntry, ...]
    state: State


class MemberList(Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """Changes from list version ``base`` to ``list_version``; ``base`` 0 replaces everything.

    A terminal takes a message whose ``base`` is not above its own version; any other must be
    refused and asked for again (Reported.list_version says from where). Of a list in several
    messages only the last is ``complete``; the others take effect together with it, because a
    list is right only as a whole. ``epoch`` is the one that the terminal reported. A message with
    a ``server_ms`` below that of one taken before is a repeat of the past and must be refused.
    Versions belong to a ``feed``, which is drawn anew when a ledger is restored from a backup: of
    another feed than its own a terminal takes nothing but a list from base 0.
    """

    version: int = 1
    terminal: Code
    base: Count
    list_version: Count
    epoch: Count
    upto_seq: Count
    members: tuple[Snapshot, ...] = ()
    complete: bool = True
    server_ms: Count = 0
    feed: Count = 0


def issue(members: MemberList, key: SigningKey) -> bytes:
    """Return the signed bytes of ``members``."""
    return sign(encode(members), Purpose.MEMBERS, key)


def accept(data: bytes, keys: Mapping[bytes, VerifyingKey]) -> MemberList:
    """Return the list in ``data`` when the cloud signed it."""
    return decode(open_signed(data, Purpose.MEMBERS, keys), MemberList)
