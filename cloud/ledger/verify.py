"""Checks the whole ledger from its own bytes: chains, keys, sums, folds, and what cards proved.

It believes nothing that ingest wrote: records are read again, entries added up again, and what
each record must have booked is recounted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from cloud.ledger.accounts import member_accounts
from cloud.ledger.card_proofs import CARD_PROOF, CardProofs, Proof
from cloud.ledger.posting import Legs, charged_event
from cloud.ledger.recount import Place, Recount
from cloud.storage.rows import POSTED, QUARANTINED, place_of
from cloud.storage.schema import balances, entries, epochs, records, states, terminals
from cloud.storage.states import COLUMNS, state_of
from protocol.chain import Head
from protocol.errors import ProtocolError
from protocol.estate import EstateKey
from protocol.membership.event import Event
from protocol.membership.fold import fold
from protocol.membership.state import State
from protocol.record import Record, read, record_hash
from protocol.signing import Purpose, VerifyingKey, split, verifier, verify

# Rows that are in memory at a time.
CHUNK = 5_000
# Faults that are named; the rest is counted.
NAMED_MAX = 20

Progress = Callable[[int, int], None]  # done, of


@dataclass(slots=True)
class Verdict:
    """What was checked and what was found wrong."""

    records: int = 0
    entries: int = 0
    chains: int = 0
    members: int = 0
    proofs: Counter[Proof] = field(default_factory=Counter)  # of debits on cards
    wrong: int = 0
    faults: list[str] = field(default_factory=list)

    def fault(self, text: str) -> None:
        """Count a fault; the first ones are named."""
        self.wrong += 1
        if len(self.faults) < NAMED_MAX:
            self.faults.append(text)

    def all(self, texts: Iterable[str]) -> None:
        """Count several faults."""
        for text in texts:
            self.fault(text)

    @property
    def line(self) -> str:
        """The verdict on one line."""
        checked = (
            f"{self.records} records in {self.chains} chains, {self.entries} entries, "
            f"{self.members} members"
        )
        if self.proofs:
            right, unproved = self.proofs[Proof.RIGHT], self.proofs[Proof.UNPROVED]
            checked += f", {right} debits proved by cards, {unproved} not proved"
        return f"{f'{self.wrong} FAULTS' if self.wrong else 'whole'}: {checked}"


class _Chain(NamedTuple):
    name: str
    site: str
    grant_data: bytes
    upto_seq: int
    head_hash: bytes
    quarantined: int
    key: VerifyingKey


class _Check(NamedTuple):
    """What is at hand while records are read."""

    verdict: Verdict
    recount: Recount
    proofs: CardProofs | None
    events: dict[str, list[Event]]  # by member


def verify_ledger(
    connection: Connection, currency: str, progress: Progress, estate: EstateKey | None = None
) -> Verdict:
    """Check everything that one consistent view shows; ``currency`` is that of the books.

    With the ``estate``'s key also what cards proved.
    """
    verdict = Verdict()
    proofs = None if estate is None else CardProofs(connection, estate)
    check = _Check(verdict, Recount(connection, currency), proofs, defaultdict(list))
    total = connection.execute(select(func.count()).select_from(records)).scalar_one()
    query = select(epochs, terminals.c.site).join(terminals).order_by(epochs.c.chain)
    for row in connection.execute(query):
        chain = _Chain(
            f"{row.terminal}/{row.epoch}",
            row.site,
            row.grant_data,
            row.upto_seq,
            row.head_hash,
            row.quarantined,
            verifier(row.algorithm, row.public_key),
        )
        verdict.chains += 1
        _check_chain(connection, row.chain, chain, check)
        progress(verdict.records, total)
    if verdict.records != total:
        verdict.fault(f"{total - verdict.records} records belong to no chain")
    verdict.all(check.recount.finish())
    folded = _check_states(connection, verdict, check.events)
    _check_sums(connection, verdict, folded)
    return verdict


def _check_chain(connection: Connection, number: int, chain: _Chain, check: _Check) -> None:
    verdict = check.verdict
    head, apart = Head(0, 0, record_hash(chain.grant_data)), 0
    for row, legs in _records(connection, number, check.recount):
        seq = head.seq + 1
        verdict.records += 1
        if row.place != place_of(number, seq):
            verdict.fault(f"{chain.name}: record {seq} is missing")
            return
        digest = record_hash(row.data)
        if digest != row.hash:
            verdict.fault(f"{chain.name}/{seq}: bytes and hash differ")
        _check_record(chain, seq, row, legs, head.hash, check)
        apart += row.state == QUARANTINED
        head = Head(0, seq, digest)
    if (head.seq, head.hash) != (chain.upto_seq, chain.head_hash):
        verdict.fault(f"{chain.name}: ends at {head.seq}, should at {chain.upto_seq}")
    if apart != chain.quarantined:
        verdict.fault(f"{chain.name}: {apart} records kept apart, counted {chain.quarantined}")


def _check_record(
    chain: _Chain, seq: int, row: Any, legs: Legs, before: bytes, check: _Check
) -> None:
    name = f"{chain.name}/{seq}"
    try:
        verify(split(row.data), Purpose.RECORD, chain.key)
        record = read(row.data)[0].record
    except ProtocolError as error:
        if row.kind:
            check.verdict.fault(f"{name}: {error.code}")
        else:
            check.verdict.all(check.recount.unread(name, row))
        return
    if record.prev != before:
        check.verdict.fault(f"{name}: does not follow the record before it")
    check.verdict.all(check.recount.judge(Place(name, chain.site), row, record, legs))
    if row.state != QUARANTINED and check.proofs is not None:
        _check_proof(name, record, check.proofs, check.verdict)
    if row.state == POSTED and row.member is not None:
        check.events[row.member].append(charged_event(record, row.gap))


def _check_proof(name: str, record: Record, proofs: CardProofs, verdict: Verdict) -> None:
    found = proofs.judge(record)
    if found is not None:
        verdict.proofs[found] += 1
    if found is Proof.WRONG:
        verdict.fault(f"{name}: {CARD_PROOF}: its card did not prove this debit")


def _check_states(
    connection: Connection, verdict: Verdict, events: dict[str, list[Event]]
) -> dict[str, State]:
    folded: dict[str, State] = {}
    columns = (states.c.member, *(states.c[name] for name in COLUMNS))
    for row in connection.execute(select(*columns)):
        verdict.members += 1
        member, stored = row[0], state_of(row[1:])
        folded[member] = fold(events.pop(member, []))
        if folded[member] != stored:
            verdict.fault(f"member {member}: state differs from the fold of the records")
    for member in events:
        verdict.fault(f"member {member}: records but no account")
    return folded


def _check_sums(connection: Connection, verdict: Verdict, folded: dict[str, State]) -> None:
    """Each record's legs, each unit and each account against one another."""
    amount = func.sum(entries.c.amount)
    place, unit = entries.c.place, entries.c.unit
    for row in connection.execute(select(place, unit).group_by(place, unit).having(amount != 0)):
        verdict.fault(f"record at {row.place}: legs in {row.unit} do not sum to zero")
    posted = select(records.c.place).where(records.c.state == POSTED)
    for row in connection.execute(select(place).where(place.not_in(posted)).distinct()):
        verdict.fault(f"record at {row.place}: has entries and was not posted")
    verdict.entries = connection.execute(select(func.count()).select_from(entries)).scalar_one()
    account = entries.c.account
    query = select(account, unit, amount).group_by(account, unit)
    sums = {(name, of): int(total) for name, of, total in connection.execute(query) if total}
    kept = {(row.account, row.unit): row.amount for row in connection.execute(select(balances))}
    for key in {*sums, *kept}:
        if sums.get(key, 0) != kept.get(key, 0):
            verdict.fault(f"account {key[0]}: entries {sums.get(key, 0)}, kept {kept.get(key, 0)}")
    for name, wanted in _wanted(folded, {of for _, of in sums}):
        if sums.get(name, 0) != wanted:
            verdict.fault(f"account {name[0]}: entries {sums.get(name, 0)}, fold {wanted}")


def _wanted(folded: dict[str, State], units: set[str]) -> Iterator[tuple[tuple[str, str], int]]:
    """What a member's accounts must hold: liabilities are negative."""
    for currency in units - {"PT"}:
        for member, state in folded.items():
            names = member_accounts(member, currency)
            yield names.principal, -state.principal
            yield names.overdraft, state.overdraft
            yield names.points, -state.points
            yield names.points_debt, state.points_debt


def _records(connection: Connection, chain: int, recount: Recount) -> Iterator[tuple[Any, Legs]]:
    """A chain's records in order with their entries, some at a time."""
    after = place_of(chain, 0)
    end = place_of(chain + 1, 0)
    query = select(records).order_by(records.c.place).limit(CHUNK)
    while True:
        rows = connection.execute(query.where(records.c.place > after, records.c.place < end)).all()
        if rows:
            legs = recount.legs(rows[0].place, rows[-1].place)
            yield from ((row, legs.get(row.place, {})) for row in rows)
        if len(rows) < CHUNK:
            return
        after = rows[-1].place
