"""A record before it has its place in the chain. Signing and writing it are left to journal."""

from __future__ import annotations

from typing import NamedTuple

from protocol.chain import Head
from protocol.moment import Moment
from protocol.receipt import receipt_number
from protocol.record import BundleRef, Card, Kind, Line, Mode, Record, Tender

# Kinds of which a person gets a receipt.
_RECEIPTED = frozenset((Kind.SALE, Kind.TOP_UP, Kind.VOID))


class Draft(NamedTuple):
    """What a record says; the fields are those of protocol.record.Record."""

    kind: Kind
    card: Card | None = None
    lines: tuple[Line, ...] = ()
    tenders: tuple[Tender, ...] = ()
    earned: int = 0
    tier: str = ""
    bundle: BundleRef | None = None
    list_version: int = 0
    mode: Mode = Mode.ONLINE
    offline_left: tuple[int, int] | None = None
    refers_to: bytes | None = None
    order: str = ""
    reason: str = ""
    note: str = ""


def draft_of(record: Record) -> Draft:
    """Return what ``record`` says, without its place, number and time."""
    return Draft(*(getattr(record, field) for field in Draft._fields))


class Stamp(NamedTuple):
    """What makes a record this one: who writes it, its number (16 bytes) and its time."""

    terminal: str
    tid: bytes
    moment: Moment


def record_behind(head: Head, draft: Draft, stamp: Stamp) -> Record:
    """Return ``draft`` as the record right behind ``head``."""
    seq = head.seq + 1
    number = receipt_number(stamp.terminal, head.epoch, seq) if draft.kind in _RECEIPTED else ""
    return Record(
        tid=stamp.tid,
        terminal=stamp.terminal,
        epoch=head.epoch,
        seq=seq,
        prev=head.hash,
        moment=stamp.moment,
        kind=draft.kind,
        card=draft.card,
        lines=draft.lines,
        tenders=draft.tenders,
        earned=draft.earned,
        tier=draft.tier,
        bundle=draft.bundle,
        list_version=draft.list_version,
        mode=draft.mode,
        offline_left=draft.offline_left,
        receipt=number,
        refers_to=draft.refers_to,
        order=draft.order,
        reason=draft.reason,
        note=draft.note,
    )
