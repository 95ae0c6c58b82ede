"""A terminal's life as one chain: links, forks and gaps. Storage is left to the caller."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from protocol.errors import BrokenChain
from protocol.record import Sealed


class Head(NamedTuple):
    """The newest known record of a terminal: the next one has ``seq + 1`` and ``prev == hash``.

    Before the first record of an epoch ``seq`` is 0 and ``hash`` that of the epoch's grant.
    """

    epoch: int
    seq: int
    hash: bytes


def follows(head: Head, sealed: Sealed) -> bool:
    """Whether ``sealed`` is the record right behind ``head``."""
    record = sealed.record
    return (record.epoch, record.seq, record.prev) == (head.epoch, head.seq + 1, head.hash)


def extend(head: Head, records: Iterable[Sealed]) -> Head:
    """Return the head behind ``records``; BrokenChain at the first that does not follow."""
    for sealed in records:
        if not follows(head, sealed):
            record = sealed.record
            raise BrokenChain(
                f"{record.terminal} {record.epoch}/{record.seq} behind {head.epoch}/{head.seq}"
            )
        head = Head(head.epoch, sealed.record.seq, sealed.hash)
    return head
