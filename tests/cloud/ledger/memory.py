"""The ledger as dictionaries: what plans are decided from and written to without a database."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence

from cloud.ledger.ingest import Plan
from cloud.storage.rows import POSTED, Chain, RecordRow, Stored, place_of
from protocol.membership.state import State


class Memory:
    """Satisfies cloud.ledger.ingest.Known; ``write`` is what the unit of work does."""

    def __init__(self) -> None:
        self.chains: dict[tuple[str, int], Chain] = {}
        self.cards: dict[bytes, str] = {}
        self.checkpoints: dict[str, State] = {}
        self.records: dict[int, RecordRow] = {}
        self.balances: Counter[tuple[str, str]] = Counter()
        self.apart: set[tuple[str, int, int, bytes, str]] = set()
        self._posted: dict[str, list[Stored]] = defaultdict(list)
        self._sites: dict[int, str] = {}

    def add_chain(self, chain: Chain) -> None:
        self.chains[chain.terminal, chain.epoch] = chain
        self._sites[chain.chain] = chain.site

    def has_terminal(self, terminal: str) -> bool:
        return any(known == terminal for known, _ in self.chains)

    def chain(self, terminal: str, epoch: int) -> Chain | None:
        return self.chains.get((terminal, epoch))

    def hashes(self, chain: int, first: int, last: int) -> Sequence[bytes]:
        return [self.records[place_of(chain, seq)].hash for seq in range(first, last + 1)]

    def members(self, references: Collection[bytes]) -> Mapping[bytes, str]:
        return {each: self.cards[each] for each in references if each in self.cards}

    def states(self, members: Collection[str]) -> Mapping[str, State]:
        return {member: self.checkpoints[member] for member in members}

    def history(self, member: str) -> Sequence[Stored]:
        return self._posted[member]

    def write(self, plan: Plan) -> None:
        for chain in plan.chains:
            self.chains[chain.terminal, chain.epoch] = chain
        for row in plan.records:
            assert row.place not in self.records, "a record is written once"
            self.records[row.place] = row
            if row.state == POSTED and row.member is not None:
                site = self._sites[row.place >> 40]
                self._posted[row.member].append(Stored(row.data, row.gap, site))
        for key, amount in plan.balances.items():
            self.balances[key] += amount
        self.checkpoints.update(plan.states)
        for apart in plan.quarantine:
            self.apart.add((apart.terminal, apart.epoch, apart.seq, apart.hash, apart.reason))
