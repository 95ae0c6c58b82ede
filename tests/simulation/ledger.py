"""The ledger of a simulation: the real decisions on batches, over dictionaries as a disk."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from cloud.ledger.audit import Auditor
from cloud.ledger.chains import Batch, Held
from cloud.ledger.ingest import Plan, Rules, plan
from cloud.members.model import Changes
from cloud.storage.rows import POSTED, SEQ_BITS, Chain, RecordRow, Stored, place_of
from protocol.grant import opening_head
from protocol.member_list import CardEntry, Snapshot
from protocol.membership.event import Event, event_of
from protocol.membership.state import EMPTY, State
from protocol.record import read
from protocol.rules.bundle import Published
from protocol.shadow import Reported
from protocol.signing import EDDSA
from protocol.watermark import Standing

SITE = "site-1"


def grant_of(epoch: int) -> bytes:
    """The grant for an epoch: what is signed in it matters to no one here."""
    return b"grant %d" % epoch


@dataclass
class Books:
    """What is on the cloud's disk."""

    bundle: Published
    cards: dict[bytes, str]
    piece_members: int
    chains: dict[tuple[str, int], Chain] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)  # epoch that was granted last
    reported: dict[str, Reported] = field(default_factory=dict)
    records: dict[int, RecordRow] = field(default_factory=dict)
    balances: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    entries: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    states: dict[str, State] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    list_version: int = 0
    # Which events the ledger had at which version: the oracle of what a screen may show.
    log: dict[str, list[tuple[int, Event]]] = field(default_factory=lambda: defaultdict(list))
    quarantined: int = 0
    _posted: dict[str | None, list[Stored]] = field(default_factory=lambda: defaultdict(list))
    _used: set[bytes] = field(default_factory=set)
    _uses: set[bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        for member in dict.fromkeys(self.cards.values()):
            self._touch(member)

    def grant(self, terminal: str, public_key: bytes, now_ms: int, *, trusted: bool) -> int:
        """Open a terminal's next epoch and return its number; see cloud.fleet.store.open_epoch.

        ``trusted``: what the key of the present epoch still hands in is taken as before.
        """
        before = self.newest.get(terminal, 0)
        epoch = self.newest[terminal] = before + 1
        for (name, number), chain in self.chains.items():
            if name != terminal:
                continue
            fresh = chain._replace(standing=Standing.ACTIVE, newest_epoch=epoch)
            if number == before or not trusted:
                last = (1 << SEQ_BITS) - 1 if trusted else chain.head.seq
                fresh = fresh._replace(closed_ms=now_ms, closed_seq=last)
            self.chains[name, number] = fresh
        number, head = len(self.chains) + 1, opening_head(epoch, grant_of(epoch))
        self.chains[terminal, epoch] = Chain(
            number, terminal, SITE, epoch, EDDSA, public_key, head, 0, Standing.ACTIVE, epoch
        )
        return epoch

    def at_epoch(self, terminal: str, epoch: int) -> Chain:
        """The chain of an epoch, of the newest when that was not granted; see cloud.fleet.store."""
        return self.chains.get((terminal, epoch)) or self.chains[terminal, self.newest[terminal]]

    def has_terminal(self, terminal: str) -> bool:
        """See KnownChains."""
        return terminal in self.newest

    def chain(self, terminal: str, epoch: int) -> Chain | None:
        """See KnownChains."""
        return self.chains.get((terminal, epoch))

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
        return self._used.intersection(tids)

    def said(self, uses: Collection[bytes]) -> set[bytes]:
        """See KnownBooks."""
        return self._uses.intersection(uses)

    def history(self, member: str) -> Sequence[Stored]:
        """See KnownBooks."""
        return self._posted[member]

    def changes(self, base: int) -> Changes:
        """See cloud.members.store.changes."""
        start = base if base <= self.list_version else 0
        behind = sorted((at, member) for member, at in self.versions.items() if at > start)
        rows, complete = behind[: self.piece_members], len(behind) <= self.piece_members
        snapshots = tuple(self._snapshot(member) for _, member in rows)
        return Changes(start, self.list_version if complete else rows[-1][0], snapshots, complete)

    def write(self, made: Plan) -> None:
        """Commit a plan: one moment, all of it."""
        for member, state in made.states.items():
            self.states[member] = state
            self._touch(member)
        for row in made.records:
            assert row.place not in self.records, "booked twice"
            self.records[row.place] = row
            if row.state == POSTED:
                self._post(row)
        for place, _, _, unit, amount in made.entries:
            self.entries[place] += amount if unit == "CNY" else 0
        self._uses.update(made.uses)
        for key, amount in made.balances.items():
            self.balances[key] += amount
        for chain in made.chains:
            self.chains[chain.terminal, chain.epoch] = chain
        self.quarantined += len(made.quarantine)

    def _post(self, row: RecordRow) -> None:
        self._used.add(row.tid)
        self._posted[row.member].append(Stored(row.data, row.gap, SITE))
        if row.member is not None:
            event = event_of(read(row.data)[0].record)
            self.log[row.member].append((self.versions[row.member], event))

    def _touch(self, member: str) -> None:
        """Give a member who changed a list version of its own."""
        self.list_version += 1
        self.versions[member] = self.list_version

    def _snapshot(self, member: str) -> Snapshot:
        cards = tuple(CardEntry(card) for card, owner in self.cards.items() if owner == member)
        return Snapshot(member, cards, self.states.get(member, EMPTY))


class _Known:
    """Books under the names that the plan asks for."""

    def __init__(self, books: Books) -> None:
        self.has_terminal, self.chain, self.hashes = books.has_terminal, books.chain, books.hashes
        self.forks, self.said = books.forks, books.said
        self.accounts, self.used, self.history = books.accounts, books.used, books.history


class Ledger:
    """What decides; crash it by making another over the same books."""

    def __init__(self, books: Books) -> None:
        self._books = books
        digest, bundle = books.bundle.digest, books.bundle.bundle
        self._rules = Rules(Auditor(lambda asked: bundle if asked == digest else None), "CNY")
        self._held: Held = {}

    def plan(self, batch: Batch, now_ms: int) -> Plan:
        """Decide; nothing is written."""
        return plan([batch], _Known(self._books), self._rules, self._held, now_ms)

    def commit(self, made: Plan) -> None:
        """Write."""
        self._books.write(made)
        self._held = made.held
