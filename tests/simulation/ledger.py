"""The cloud of a simulation: the real decisions on batches, over dictionaries as a disk."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from cloud.ledger.audit import Auditor
from cloud.ledger.chains import Batch, Held
from cloud.ledger.ingest import Plan, Rules, plan
from cloud.storage.rows import POSTED, Chain, RecordRow, Stored, place_of
from protocol.member_list import CardEntry, MemberList, Snapshot
from protocol.membership.event import Event, event_of
from protocol.membership.state import EMPTY, State
from protocol.record import read
from protocol.rules.bundle import Published
from protocol.watermark import Watermark


@dataclass
class Books:
    """What is on the cloud's disk."""

    bundle: Published
    cards: dict[bytes, str]
    chains: dict[str, Chain]
    records: dict[int, RecordRow] = field(default_factory=dict)
    balances: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    entries: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    states: dict[str, State] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    list_version: int = 1
    # Which events the ledger had at which version: the oracle of what a screen may show.
    log: dict[str, list[tuple[int, Event]]] = field(default_factory=lambda: defaultdict(list))
    refused: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    quarantined: int = 0

    def has_terminal(self, terminal: str) -> bool:
        """See KnownChains."""
        return terminal in self.chains

    def chain(self, terminal: str, epoch: int) -> Chain | None:
        """See KnownChains."""
        chain = self.chains.get(terminal)
        return chain if chain is not None and chain.epoch == epoch else None

    def hashes(self, chain: int, first: int, last: int) -> Sequence[bytes]:
        """See KnownChains."""
        return [self.records[place_of(chain, seq)].hash for seq in range(first, last + 1)]

    def forks(self, terminal: str, epoch: int) -> int:
        """See KnownChains."""
        raise AssertionError(f"{terminal} showed two histories of epoch {epoch}")

    def accounts(self, references: Collection[bytes]) -> Mapping[bytes, tuple[str, State]]:
        """See KnownBooks."""
        found = {card: self.cards[card] for card in references if card in self.cards}
        return {card: (name, self.states.get(name, EMPTY)) for card, name in found.items()}

    def used(self, tids: Collection[bytes]) -> set[bytes]:
        """See KnownBooks."""
        posted = {row.tid for row in self.records.values() if row.state == POSTED}
        return posted.intersection(tids)

    def history(self, member: str) -> Sequence[Stored]:
        """See KnownBooks."""
        return [
            Stored(row.data, row.gap, "site-1")
            for row in self.records.values()
            if row.member == member and row.state == POSTED
        ]

    def write(self, made: Plan) -> None:
        """Commit a plan: one moment, all of it."""
        for row in made.records:
            assert row.place not in self.records, "booked twice"
            self.records[row.place] = row
        for place, _, _, unit, amount in made.entries:
            self.entries[place] += amount if unit == "CNY" else 0
        for key, amount in made.balances.items():
            self.balances[key] += amount
        self.list_version += 1
        for row in made.records:
            if row.state == POSTED and row.member is not None:
                event = event_of(read(row.data)[0].record)
                self.log[row.member].append((self.list_version, event))
        for member, state in made.states.items():
            self.states[member] = state
            self.versions[member] = self.list_version
        for chain in made.chains:
            self.chains[chain.terminal] = chain
        for refusal in made.refusals:
            self.refused[refusal.reason] += 1
        self.quarantined += len(made.quarantine)


class _Known:
    """Books under the names that the plan asks for."""

    def __init__(self, books: Books) -> None:
        self.has_terminal, self.chain, self.hashes = books.has_terminal, books.chain, books.hashes
        self.forks = books.forks
        self.accounts, self.used, self.history = books.accounts, books.used, books.history


class Ledger:
    """A running cloud: crash it by making another over the same books."""

    def __init__(self, books: Books) -> None:
        self.books = books
        digest, bundle = books.bundle.digest, books.bundle.bundle
        self._rules = Rules(Auditor(lambda asked: bundle if asked == digest else None), "CNY")
        self._held: Held = {}

    def plan(self, batch: Batch, now_ms: int) -> Plan:
        """Decide; nothing is written."""
        return plan([batch], _Known(self.books), self._rules, self._held, now_ms)

    def commit(self, made: Plan) -> None:
        """Write."""
        self.books.write(made)
        self._held = made.held

    def watermark(self, terminal: str, missing: tuple[tuple[int, int], ...] = ()) -> Watermark:
        """What may be told to a terminal now."""
        chain = self.books.chains[terminal]
        return Watermark(
            terminal=terminal,
            epoch=chain.epoch,
            upto_seq=chain.head.seq,
            head_hash=chain.head.hash,
            server_ms=0,
            missing=missing,
            standing=chain.standing,
        )

    def changes(self, terminal: str, base: int) -> MemberList:
        """The member list from ``base`` on, and how far the terminal's own records are in it."""
        books = self.books
        chain = books.chains[terminal]
        known = dict.fromkeys(books.cards.values())
        changed = [each for each in known if not base or books.versions.get(each, 1) > base]
        return MemberList(
            terminal=terminal,
            base=base,
            list_version=books.list_version,
            epoch=chain.epoch,
            upto_seq=chain.head.seq,
            members=tuple(self._snapshot(member) for member in changed),
        )

    def _snapshot(self, member: str) -> Snapshot:
        cards = tuple(
            CardEntry(card) for card, owner in self.books.cards.items() if owner == member
        )
        return Snapshot(member, cards, self.books.states.get(member, EMPTY))
