"""The ledger as dictionaries: what plans are decided from and written to without a database."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256
from random import Random
from typing import Any

from cloud.ledger.audit import Auditor
from cloud.ledger.chains import Batch, Held
from cloud.ledger.ingest import Plan, Rules, plan
from cloud.storage.rows import FORK, POSTED, Chain, RecordRow, Stored, place_of
from protocol.chain import Head
from protocol.membership.state import EMPTY, State
from protocol.rules.bundle import Published
from protocol.watermark import Standing
from tests.cloud.town import CURRENCY, MORNING_MS, SITE, Till, key_of, reference_of


class Memory:
    """Satisfies cloud.ledger.ingest.Known; ``write`` is what the unit of work does."""

    def __init__(self, *bundles: Published) -> None:
        published = {each.digest: each.bundle for each in bundles}
        self.rules = Rules(Auditor(published.get), CURRENCY)
        self.chains: dict[tuple[str, int], Chain] = {}
        self.cards: dict[bytes, str] = {}
        self.checkpoints: dict[str, State] = {}
        self.records: dict[int, RecordRow] = {}
        self.balances: Counter[tuple[str, str]] = Counter()
        self.apart: set[tuple[str, int, int, bytes, str]] = set()
        self._posted: dict[str, list[Stored]] = defaultdict(list)
        self._sites: dict[int, str] = {}
        self.uses: set[bytes] = set()

    def add_chain(self, chain: Chain) -> None:
        for key, known in self.chains.items():
            if known.terminal == chain.terminal:
                self.chains[key] = known._replace(newest_epoch=chain.epoch)
        self.chains[chain.terminal, chain.epoch] = chain
        self._sites[chain.chain] = chain.site

    def has_terminal(self, terminal: str) -> bool:
        return any(known == terminal for known, _ in self.chains)

    def chain(self, terminal: str, epoch: int) -> Chain | None:
        return self.chains.get((terminal, epoch))

    def hashes(self, chain: int, first: int, last: int) -> Sequence[bytes]:
        return [self.records[place_of(chain, seq)].hash for seq in range(first, last + 1)]

    def forks(self, terminal: str, epoch: int) -> int:
        place = terminal, epoch
        return sum(each[:2] == place and each[4] == FORK for each in self.apart)

    def accounts(self, references: Collection[bytes]) -> Mapping[bytes, tuple[str, State]]:
        members = {each: self.cards[each] for each in references if each in self.cards}
        return {each: (member, self.checkpoints[member]) for each, member in members.items()}

    def used(self, tids: Collection[bytes]) -> set[bytes]:
        return {row.tid for row in self.records.values() if row.state == POSTED}.intersection(tids)

    def said(self, uses: Collection[bytes]) -> set[bytes]:
        return self.uses.intersection(uses)

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
        assert self.uses.isdisjoint(plan.uses), "a use is written once"
        self.uses.update(plan.uses)
        for apart in plan.quarantine:
            self.apart.add((apart.terminal, apart.epoch, apart.seq, apart.hash, apart.reason))

    def add_members(self, *names: str) -> None:
        """Members with one card each."""
        for name in names:
            self.cards[reference_of(name)] = name
            self.checkpoints[name] = EMPTY

    def add_till(self, terminal: str, published: Published, random: Random, epoch: int = 1) -> Till:
        """A terminal with a granted epoch."""
        key = key_of(f"{terminal}/{epoch}")
        head = Head(epoch, 0, sha256(f"{terminal}/{epoch}".encode()).digest())
        number = len(self.chains) + 1
        public = key.verifier.public
        self.add_chain(
            Chain(
                *(number, terminal, SITE, epoch, key.algorithm, public, head),
                *(0, Standing.ACTIVE, epoch),
            )
        )
        return Till(terminal, key, head, published, random)

    def ingest(self, *batches: Batch, held: Held | None = None) -> Plan:
        """Decide and write one transaction."""
        made = plan(batches, self, self.rules, held or {}, MORNING_MS)
        self.write(made)
        return made

    def add_chain_row(self, row: Any) -> None:
        """A chain as a database has it."""
        head = Head(row.epoch, row.upto_seq, row.head_hash)
        self.add_chain(
            Chain(
                *(row.chain, row.terminal, SITE, row.epoch, row.algorithm, row.public_key, head),
                *(row.quarantined, Standing.ACTIVE, row.epoch),
            )
        )
