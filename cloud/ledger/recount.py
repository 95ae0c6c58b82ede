"""Recounts, from a record's own bytes, what the ledger must have written of it; verify reads.

A record is judged on its place; voids are judged when all have been seen, since what one takes
back may lie in another chain.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from functools import partial
from hashlib import sha256
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from cloud.ledger import posting
from cloud.ledger.accounts import Account, member_accounts
from cloud.ledger.audit import AGREES, Auditor
from cloud.ledger.ingest import EPOCH_ENDED, REVOKED
from cloud.ledger.posting import Books, Legs
from cloud.ledger.uses import CARD_REPEATS, use_of
from cloud.storage.rows import NOTED, POSTED, QUARANTINED, place_of
from cloud.storage.schema import cards, entries, epochs, quarantine, records, terminals
from cloud.storage.unit_of_work import bundle_data
from protocol.codec import decode
from protocol.membership.event import NOTED as NOTED_KINDS
from protocol.membership.event import event_of, moves_account
from protocol.record import Kind, Record, read
from protocol.rules.bundle import Bundle
from protocol.signing import split


class Place(NamedTuple):
    """Where a record lies: its name for people, and the site that it is booked for."""

    name: str
    site: str


class _Void(NamedTuple):
    name: str
    legs: Legs


_Target = tuple[str | None, bytes | None]  # member and transaction id


class Recount:
    """Judges the records of one consistent view. Each method yields what is wrong, in words."""

    def __init__(self, connection: Connection, currency: str) -> None:
        self._connection, self._currency = connection, currency
        self._auditor = Auditor(partial(_bundle, connection))
        owners = connection.execute(select(cards.c.reference, cards.c.member))
        self._owners: Mapping[bytes, str] = {row[0]: row[1] for row in owners}
        apart = connection.execute(select(quarantine.c.hash))
        self._apart = frozenset(digest for (digest,) in apart)
        self._voids: dict[_Target, list[_Void]] = defaultdict(list)
        self._without_facts: dict[_Target, str] = {}
        self._uses: Counter[bytes | None] = Counter()
        self._repeats: list[tuple[str, bytes | None]] = []

    def legs(self, first: int, last: int) -> Mapping[int, Legs]:
        """The entries of the records from place ``first`` to ``last``, by place."""
        found: dict[int, Legs] = defaultdict(dict)
        query = select(entries.c.place, entries.c.account, entries.c.unit, entries.c.amount)
        for place, name, unit, amount in self._connection.execute(
            query.where(entries.c.place.between(first, last))
        ):
            account = Account(name, unit)
            found[place][account] = found[place].get(account, 0) + amount
        return found

    def unread(self, name: str, row: Any) -> Iterator[str]:
        """Judge a row whose bytes nobody can read as a record."""
        if row.kind or row.state != QUARANTINED:
            yield f"{name}: is {row.state} and cannot be read"
        elif row.hash not in self._apart:
            yield f"{name}: kept apart for no reason"

    def judge(self, place: Place, row: Any, record: Record, legs: Legs) -> Iterator[str]:
        """Judge one row of the records by its ``record`` and its entries."""
        name = place.name
        if row.state == QUARANTINED:
            if row.hash not in self._apart:
                yield f"{name}: kept apart for no reason"
            return
        said = (row.tid, row.kind, row.occurred_ms)
        if said != (record.tid, record.kind, record.moment.wall_ms):
            yield f"{name}: id, kind or time differ from the record's"
        expected = NOTED if record.kind in NOTED_KINDS else POSTED
        if row.state != expected or not (expected is NOTED or moves_account(record.kind)):
            yield f"{name}: is {row.state}, and a record of its kind is not"
        elif row.state == POSTED:
            yield from self._judge_posted(place, row, record, legs)

    def finish(self) -> Iterator[str]:
        """Judge the voids of all records that were seen, and what they take back."""
        for target, voids in self._voids.items():
            facts = self._facts_of(target)
            if self._without_facts.pop(target, None) is not None or facts is None:
                facts = {}  # it came behind its void: neither books anything
            taken = [void for void in voids if void.legs]
            if [void.legs for void in taken] != ([posting.taken_back(facts)] if facts else []):
                yield f"{voids[0].name}: a void that takes back something else"
        for name, use in self._repeats:
            if use is None or self._uses[use] < 2:
                yield f"{name}: {CARD_REPEATS}, and no other record has what its card said"
        for name in self._without_facts.values():
            yield f"{name}: entries differ from the record's"

    def _judge_posted(self, place: Place, row: Any, record: Record, legs: Legs) -> Iterator[str]:
        name, use = place.name, use_of(record)
        self._uses[use] += 1
        if row.audit == CARD_REPEATS:
            self._repeats.append((name, use))
        owner = None if record.card is None else self._owners.get(record.card.reference)
        if row.member != owner:
            yield f"{name}: booked for {row.member}, its card is {owner}'s"
        finding = AGREES
        if record.kind is Kind.SALE:
            finding = self._auditor.audit(record, record.total)
        if row.gap != finding.gap or not _says(row.audit, finding.flag):
            yield f"{name}: {row.audit or 'agrees'} by {row.gap}, recounted {finding}"
        own = member_accounts(row.member, self._currency) if row.member is not None else ()
        facts = {account: amount for account, amount in legs.items() if account not in own}
        wanted = _nonzero(posting.facts(record, row.gap, Books(self._currency, place.site)))
        if record.kind is Kind.VOID:
            self._voids[row.member, record.refers_to].append(_Void(name, facts))
        elif not facts and wanted and not event_of(record).is_final:
            self._without_facts[row.member, record.tid] = name
        elif facts != wanted:
            yield f"{name}: entries differ from the record's"

    def _facts_of(self, target: _Target) -> Legs | None:
        """The facts that can be taken back of the posted record ``target``; None without one."""
        member, tid = target
        row = self._connection.execute(
            select(records.c.data, records.c.gap, terminals.c.site)
            .select_from(records)
            .join(epochs, epochs.c.chain == records.c.place // place_of(1, 0))
            .join(terminals)
            .where(records.c.tid == tid, records.c.member == member, records.c.state == POSTED)
        ).first()
        if row is None:
            return None
        record = read(row.data)[0].record
        if event_of(record).is_final:
            return {}
        return _nonzero(posting.facts(record, row.gap, Books(self._currency, row.site)))


def _says(audit: str, flag: str) -> bool:
    """Whether ``audit`` is ``flag``, or why a record was looked at all the same."""
    return audit == flag or (not flag and audit in {REVOKED, EPOCH_ENDED, CARD_REPEATS})


def _nonzero(legs: Legs) -> Legs:
    return {account: amount for account, amount in legs.items() if amount}


def _bundle(connection: Connection, digest: bytes) -> Bundle | None:
    """The bundle whose payload has ``digest``, from its own bytes."""
    data = bundle_data(connection, digest)
    payload = b"" if data is None else split(data).payload
    return decode(payload, Bundle) if sha256(payload).digest() == digest else None
