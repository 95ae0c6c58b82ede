"""Decides what batches do to the ledger: plan(batches, what is known) -> what to write. Pure.

Nothing here touches a database: cloud.storage.unit_of_work reads what is asked for and writes the
plan in one transaction, and a simulation does the same with dictionaries.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from cloud.ledger import posting
from cloud.ledger.audit import AGREES, Auditor, Finding
from cloud.ledger.chains import (
    KIND_UNSUPPORTED,
    Batch,
    Held,
    Intake,
    KnownChains,
    Refusal,
    Step,
    Taken,
    apart,
)
from cloud.ledger.posting import Books, Legs
from cloud.ledger.uses import CARD_REPEATS, uses_of
from cloud.storage.rows import (
    NOTED,
    POSTED,
    QUARANTINED,
    Chain,
    Entry,
    QuarantineRow,
    RecordRow,
    Stored,
    place_of,
)
from protocol.membership.event import CARD_PURSE, STORED_VALUE, Event, moves_account
from protocol.membership.event import NOTED as NOTED_KINDS
from protocol.membership.fold import advance, advances, fold
from protocol.membership.state import State
from protocol.money import AMOUNT_MAX
from protocol.record import CardClass, Kind, Record, read

UNKNOWN_CARD = "unknown_card"
UNBALANCED = "unbalanced"
TID_USED = "tid_used"
REVOKED = "revoked"
EPOCH_ENDED = "epoch_ended"
AMOUNT_TOO_LARGE = "amount_too_large"
ACCOUNT_FULL = "account_full"
TOO_MANY_VOIDS = "too_many_voids"
# Above it no terminal can read a member's state (protocol.record.Count).
STATE_MAX = (1 << 53) - 1
# Voids of one member that wait for what they take back: each makes the state that every terminal
# is sent longer, for ever when the transaction never comes.
WAITING_VOIDS_MAX = 16


class KnownBooks(Protocol):
    """What the ledger has of the members."""

    def accounts(self, references: Collection[bytes]) -> Mapping[bytes, tuple[str, State]]:
        """Card reference -> member and checkpoint, for those cards that were issued."""

    def used(self, tids: Collection[bytes]) -> Collection[bytes]:
        """Those of ``tids`` that a posted record carries."""

    def said(self, uses: Collection[bytes]) -> Collection[bytes]:
        """Those of ``uses`` (cloud.ledger.uses) that a posted record has."""

    def history(self, member: str) -> Sequence[Stored]:
        """Every posted record of ``member``, in any order."""


class Known(KnownChains, KnownBooks, Protocol):
    """What the ledger has."""


@dataclass(slots=True)
class Plan:
    """What one transaction writes, and what is said about it after the commit."""

    records: list[RecordRow] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    balances: Legs = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)
    uses: dict[bytes, int] = field(default_factory=dict)  # what cards said once -> place
    chains: list[Chain] = field(default_factory=list)  # touched, as they are after it
    quarantine: list[QuarantineRow] = field(default_factory=list)
    counterparts: list[int] = field(default_factory=list)  # places of the ledger's side of forks
    refusals: list[Refusal] = field(default_factory=list)
    missing: dict[int, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    held: Held = field(default_factory=dict)
    duplicates: int = 0


class _Posted(NamedTuple):
    event: Event
    facts: Legs


class _Move(NamedTuple):
    posted: _Posted
    state: State | None
    legs: Legs


@dataclass(slots=True)
class _Account:
    """A member while a transaction works on it; ``before`` is None until a late event needs it."""

    state: State
    new: list[_Posted] = field(default_factory=list)
    before: list[_Posted] | None = None


class Rules(NamedTuple):
    """What stays the same from one transaction to the next."""

    auditor: Auditor
    currency: str


def plan(batches: Iterable[Batch], known: Known, rules: Rules, held: Held, now_ms: int) -> Plan:
    """Decide what ``batches``, in this order, do to the ledger that ``known`` shows.

    ``held`` are batches that wait behind gaps; the plan's own take their place if it is written.
    """
    intake = Intake(known, {chain: dict(runs) for chain, runs in held.items()}, now_ms)
    for batch in batches:
        intake.take(batch)
    booking = _Booking(known, rules, intake.taken, now_ms)
    for taken in intake.taken:
        booking.book(taken)
    made = booking.made()
    made.chains = [
        chain._replace(quarantined=chain.quarantined + booking.apart.get(number, 0))
        for number, chain in intake.touched.items()
    ]
    made.missing = {chain.chain: intake.missing(chain) for chain in made.chains}
    made.quarantine += intake.forks
    made.counterparts, made.refusals = intake.counterparts, intake.refusals
    made.held, made.duplicates = intake.held, intake.duplicates
    return made


def accept(chain: Chain, step: Step, known: KnownBooks, rules: Rules, now_ms: int) -> Plan:
    """Decide what a record that was kept apart does when a person takes it after all.

    Whether its key was in good hands the person has judged, so its epoch counts as open; if
    anything else speaks against it now, the plan keeps it apart again.
    """
    taken = Taken(chain._replace(closed_ms=0), step)
    booking = _Booking(known, rules, [taken], now_ms)
    booking.book(taken)
    return booking.made()


class _Booking:
    """Books the new records of one transaction, in the order of their chains."""

    def __init__(
        self, known: KnownBooks, rules: Rules, taken: Sequence[Taken], now_ms: int
    ) -> None:
        self.apart: dict[int, int] = {}
        self._plan = Plan()
        self._known = known
        self._rules = rules
        self._now_ms = now_ms
        cards = {
            step.record.card.reference
            for _, step in taken
            if step.record is not None and step.record.card is not None
        }
        found = known.accounts(cards) if cards else {}
        tids = {
            step.record.tid
            for _, step in taken
            if step.record is not None and moves_account(step.record.kind)
        }
        self._used = set(known.used(tids)) if tids else set()
        self._uses = uses_of((step.hash, step.record) for _, step in taken)
        self._said = set(known.said(set(self._uses.values()))) if self._uses else set()
        self._members = {reference: member for reference, (member, _) in found.items()}
        self._accounts = {member: _Account(state) for member, state in found.values()}

    def book(self, taken: Taken) -> None:
        """Post, note or keep apart one record."""
        chain, step = taken
        record = step.record
        if record is None:
            self._keep_apart(chain, step, step.reason, None)
            return
        member = self._members.get(record.card.reference) if record.card is not None else None
        if record.kind in NOTED_KINDS:
            self._write(chain, step, record, NOTED, AGREES, member)
            return
        closed = _closed(chain, record)
        finding = self._finding(record, closed)
        reason = _objection(record, member)
        if record.tid in self._used:  # a fold knows a transaction by it
            reason = TID_USED
        elif closed and _gives(record, finding):
            reason = closed
        if not reason:
            move = self._move(record, finding.gap, Books(self._rules.currency, chain.site), member)
            reason = _misfit(move)
        if reason:
            self._keep_apart(chain, step, reason, member)
            return
        self._used.add(record.tid)
        if step.hash in self._uses:
            finding = self._said_once(chain, step, finding)
        if member is not None and move.state is not None:
            account = self._accounts[member]
            account.state = move.state
            account.new.append(move.posted)
        self._post(place_of(chain.chain, step.seq), move.legs)
        self._write(chain, step, record, POSTED, finding, member)

    def made(self) -> Plan:
        """What was booked, with the states that came of it."""
        accounts = self._accounts.items()
        self._plan.states = {member: each.state for member, each in accounts if each.new}
        return self._plan

    def _finding(self, record: Record, closed: str) -> Finding:
        if record.kind is not Kind.SALE:
            return AGREES
        finding = self._rules.auditor.audit(record, record.total)
        return finding if finding.flag else Finding(closed)

    def _said_once(self, chain: Chain, step: Step, finding: Finding) -> Finding:
        """Note what the card said; flag it when another record has it, unless more is wrong."""
        use = self._uses[step.hash]
        if use in self._said:
            return finding if finding.flag else Finding(CARD_REPEATS)
        self._said.add(use)
        self._plan.uses[use] = place_of(chain.chain, step.seq)
        return finding

    def _move(self, record: Record, gap: int, books: Books, member: str | None) -> _Move:
        posted = _Posted(posting.charged_event(record, gap), posting.facts(record, gap, books))
        if member is None:
            return _Move(posted, None, posted.facts)
        account = self._accounts[member]
        before = account.state
        if advances(before, posted.event):
            after = advance(before, posted.event)
            moved = dict(posted.facts)
        else:
            there = self._all_posted(member, account)
            after = fold([*(each.event for each in there), posted.event])
            moved = _moved_facts(there, posted)
        legs = posting.with_member(moved, member, before, after, books.currency)
        return _Move(posted, after, legs)

    def _all_posted(self, member: str, account: _Account) -> list[_Posted]:
        if account.before is None:
            account.before = [
                _posted(stored, self._rules.currency) for stored in self._known.history(member)
            ]
        return account.before + account.new

    def _post(self, place: int, legs: Legs) -> None:
        entries, balances = self._plan.entries, self._plan.balances
        line = 0
        for account, amount in legs.items():
            if amount:
                entries.append((place, line, account.name, account.unit, amount))
                balances[account] = balances.get(account, 0) + amount
                line += 1

    def _keep_apart(self, chain: Chain, step: Step, reason: str, member: str | None) -> None:
        self.apart[chain.chain] = self.apart.get(chain.chain, 0) + 1
        self._plan.quarantine.append(apart(step, reason, self._now_ms))
        self._write(chain, step, step.record, QUARANTINED, AGREES, member)

    def _write(
        self,
        chain: Chain,
        step: Step,
        record: Record | None,
        state: str,
        finding: Finding,
        member: str | None,
    ) -> None:
        self._plan.records.append(
            RecordRow(
                place_of(chain.chain, step.seq),
                b"" if record is None else record.tid,
                step.hash,
                step.data,
                0 if record is None else int(record.kind),
                state,
                finding.flag,
                finding.gap,
                member,
                0 if record is None else record.moment.wall_ms,
                self._now_ms,
            )
        )


def _closed(chain: Chain, record: Record) -> str:
    """Why the ledger had not got a record when its epoch was closed; empty when it had.

    Whoever has the key can set a clock back, but not write before what the ledger has.
    """
    if not chain.closed_ms or record.seq <= chain.closed_seq:
        return ""
    return REVOKED if chain.epoch == chain.newest_epoch else EPOCH_ENDED


def _gives(record: Record, finding: Finding) -> bool:
    """Whether a record gives a member what no bundle confirms.

    A stolen or copied key must not do it once its epoch is closed.
    """
    return record.kind is not Kind.SALE or (record.card is not None and not finding.confirmed)


def _misfit(move: _Move) -> str:
    """Why what a record would do to the books cannot stand; empty when it can."""
    if not posting.is_balanced(move.legs):
        return UNBALANCED
    state = move.state
    if state is None:
        return ""
    most = max(state.principal, state.overdraft, state.points, state.points_debt, state.qualifying)
    if most > STATE_MAX:
        return ACCOUNT_FULL
    return TOO_MANY_VOIDS if len(state.waiting_voids) > WAITING_VOIDS_MAX else ""


def _objection(record: Record, member: str | None) -> str:
    """Why a record that should move money cannot be booked; empty when it can."""
    kind, total = record.kind, record.total
    if not moves_account(kind):
        return KIND_UNSUPPORTED
    if member is None and not _is_guests(record):
        return UNKNOWN_CARD
    if total > AMOUNT_MAX:
        return AMOUNT_TOO_LARGE
    if kind is Kind.SALE:
        fits = sum([line.net_price for line in record.lines]) == total
    elif kind is Kind.TOP_UP:
        fits = not _draws(record)
    elif kind is Kind.VOID:
        fits = record.refers_to is not None and not record.earned and not record.spent
    else:
        fits = not record.tenders
    return "" if fits and _card_agrees(record) else UNBALANCED


def _card_agrees(record: Record) -> bool:
    """Whether what the card's purse paid is what it holds less."""
    by_card = record.paid_by(CARD_PURSE)
    if not by_card:
        return True
    card = record.card
    if card is None or card.balance_before is None or card.balance_after is None:
        return False
    paid = card.balance_before - card.balance_after
    return card.assurance is CardClass.VALUE and card.balance_after >= 0 and paid == by_card


def _is_guests(record: Record) -> bool:
    """Whether it is a sale without a card that touches nobody's account."""
    touches = record.card is not None or record.earned or record.spent or _draws(record)
    return record.kind is Kind.SALE and not touches


def _draws(record: Record) -> bool:
    return any(tender.method == STORED_VALUE for tender in record.tenders)


def _posted(stored: Stored, currency: str) -> _Posted:
    record = read(stored.data)[0].record
    return _Posted(
        posting.charged_event(record, stored.gap),
        posting.facts(record, stored.gap, Books(currency, stored.site)),
    )


def _moved_facts(there: Sequence[_Posted], new: _Posted) -> Legs:
    """Facts that ``new`` adds or takes back: those of voided records count for nothing."""
    event = new.event
    voided = {each.event.refers_to for each in there if each.event.kind is Kind.VOID}
    if event.kind is not Kind.VOID:
        return {} if event.tid in voided and not event.is_final else dict(new.facts)
    if event.refers_to not in voided:
        for each in there:
            if each.event.tid == event.refers_to and not each.event.is_final:
                return posting.taken_back(each.facts)
    return {}
