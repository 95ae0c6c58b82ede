"""One transaction of the ledger: shows what is there, and writes a plan whole or not at all."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from sqlalchemy import (
    Connection,
    bindparam,
    exists,
    func,
    select,
    text,
    update,
)

from cloud.storage import counters
from cloud.storage.engine import Database
from cloud.storage.hot_postgresql import HotPostgresql
from cloud.storage.hot_sqlite import HotSqlite
from cloud.storage.rows import (
    FORK,
    POSTED,
    QUARANTINED,
    SEQ_BITS,
    Chain,
    Entry,
    QuarantineRow,
    RecordRow,
    Settlement,
    Stored,
    place_of,
    seq_of,
)
from cloud.storage.schema import bundles, epochs, quarantine, records, terminals
from protocol.chain import Head
from protocol.membership.state import State
from protocol.watermark import QUARANTINED_MAX, Standing

_CHAIN = (
    select(
        *(epochs.c.chain, epochs.c.terminal, terminals.c.site, epochs.c.epoch),
        *(epochs.c.algorithm, epochs.c.public_key, epochs.c.upto_seq, epochs.c.head_hash),
        *(epochs.c.quarantined, terminals.c.standing, terminals.c.epoch.label("newest_epoch")),
        *(epochs.c.closed_ms, epochs.c.closed_seq),
    )
    .select_from(epochs.join(terminals))
    .where(epochs.c.terminal == bindparam("name"), epochs.c.epoch == bindparam("number"))
)
_EPOCH = (
    update(epochs)
    .where(epochs.c.chain == bindparam("number"))
    .values(upto_seq=bindparam("upto"), head_hash=bindparam("head"), quarantined=bindparam("apart"))
)
_NAMED = terminals.c.terminal.in_(bindparam("names", expanding=True))
_HEARD = update(terminals).where(_NAMED).values(heard_ms=bindparam("now_ms"))
_FORKED = update(terminals).where(_NAMED).values(standing=Standing.FORKED.value)
_HASHES = (
    select(records.c.hash)
    .where(records.c.place.between(bindparam("first"), bindparam("last")))
    .order_by(records.c.place)
)
_CHAIN_OF_RECORD = epochs.c.chain == records.c.place // (1 << SEQ_BITS)
_HISTORY = (
    select(records.c.data, records.c.gap, terminals.c.site)
    .select_from(records.join(epochs, _CHAIN_OF_RECORD).join(terminals))
    .where(records.c.member == bindparam("name"), records.c.state == POSTED)
)
_COUNTERPARTS = (
    select(epochs.c.terminal, epochs.c.epoch, records.c.place, records.c.hash, records.c.data)
    .select_from(records.join(epochs, _CHAIN_OF_RECORD))
    .where(records.c.place.in_(bindparam("places", expanding=True)))
)
# What becomes of a row of records when the record is taken after all.
_TAKEN = ("tid", "kind", "state", "audit", "gap", "member", "occurred_ms")
_APART = text(
    f"""INSERT INTO quarantine ({", ".join(QuarantineRow._fields)})
    VALUES ({", ".join(f":{name}" for name in QuarantineRow._fields)})
    ON CONFLICT DO NOTHING"""  # noqa: S608
)


_TAKE = (
    update(records)
    .where(records.c.place == bindparam("at"), records.c.state == QUARANTINED)
    .values({name: bindparam(f"new_{name}") for name in _TAKEN})
)


class HotStatements(Protocol):
    """What runs for every batch, once in each database's own way."""

    def accounts(self, references: Collection[bytes]) -> dict[bytes, tuple[str, State]]: ...
    def used(self, tids: Collection[bytes]) -> set[bytes]: ...
    def said(self, uses: Collection[bytes]) -> set[bytes]: ...
    def add_records(self, rows: Iterable[RecordRow]) -> None: ...
    def add_entries(self, rows: Iterable[Entry]) -> None: ...
    def move_balances(self, moves: Mapping[tuple[str, str], int]) -> None: ...
    def add_uses(self, uses: Mapping[bytes, int]) -> None: ...
    def set_states(self, states: Mapping[str, State], first_version: int) -> None: ...


class Writes(Protocol):
    """What a plan writes; balances are changes, the rest is rows."""

    @property
    def records(self) -> Sequence[RecordRow]: ...
    @property
    def entries(self) -> Sequence[Entry]: ...
    @property
    def balances(self) -> Mapping[Any, int]:
        """(account, unit) -> change."""

    @property
    def states(self) -> Mapping[str, State]: ...
    @property
    def uses(self) -> Mapping[bytes, int]: ...
    @property
    def chains(self) -> Sequence[Chain]: ...
    @property
    def quarantine(self) -> Sequence[QuarantineRow]: ...
    @property
    def counterparts(self) -> Sequence[int]: ...


class UnitOfWork:
    """A write transaction; satisfies cloud.ledger.ingest.Known."""

    def __init__(self, connection: Connection, hot: HotStatements) -> None:
        self._connection = connection
        self._hot = hot
        self.accounts, self.used, self.said = hot.accounts, hot.used, hot.said

    def has_terminal(self, terminal: str) -> bool:
        """Whether the terminal was ever enrolled."""
        there = select(exists().where(terminals.c.terminal == terminal))
        return bool(self._connection.execute(there).scalar())

    def chain(self, terminal: str, epoch: int) -> Chain | None:
        """The chain of a granted epoch."""
        found = self._connection.execute(_CHAIN, {"name": terminal, "number": epoch})
        row = found.one_or_none()
        return None if row is None else _chain(row)

    def hashes(self, chain: int, first: int, last: int) -> list[bytes]:
        """Hashes of records that are there."""
        span = {"first": place_of(chain, first), "last": place_of(chain, last)}
        return list(self._connection.execute(_HASHES, span).scalars())

    def forks(self, terminal: str, epoch: int) -> int:
        """How many records of two histories are kept of a chain."""
        of = quarantine.c.terminal == terminal, quarantine.c.epoch == epoch
        kept = select(func.count()).where(*of, quarantine.c.reason == FORK)
        return self._connection.execute(kept).scalar_one()

    def history(self, member: str) -> list[Stored]:
        """Every posted record of a member."""
        rows = self._connection.execute(_HISTORY, {"name": member})
        return [Stored(*row) for row in rows]

    def kept_apart(self, chain: Chain) -> tuple[tuple[int, str], ...]:
        """The newest records of a chain that are in quarantine, newest last."""
        of = quarantine.c.terminal == chain.terminal, quarantine.c.epoch == chain.epoch
        rows = self._connection.execute(
            select(quarantine.c.seq, quarantine.c.reason)
            .where(*of, quarantine.c.seq <= chain.head.seq, quarantine.c.settled_ms == 0)
            .order_by(quarantine.c.seq.desc())
            .limit(QUARANTINED_MAX)
        )
        return tuple(reversed([(seq, reason) for seq, reason in rows]))

    def write(self, plan: Writes, now_ms: int) -> None:
        """Write a plan that was made from what this very transaction shows."""
        if plan.records:
            self._hot.add_records(plan.records)
        self._book(plan)
        self._keep_apart(plan, now_ms)
        if plan.chains:
            self._advance(plan.chains, now_ms)

    def kept(self, chain: Chain, seq: int) -> bytes | None:
        """The signed bytes of a record of ``chain`` while it is kept apart."""
        here = records.c.place == place_of(chain.chain, seq), records.c.state == QUARANTINED
        return self._connection.execute(select(records.c.data).where(*here)).scalar()

    def take(self, plan: Writes, chain: Chain, settlement: Settlement) -> None:
        """Write the plan of one record of ``chain`` that was kept apart until now."""
        (row,) = plan.records
        new = {f"new_{name}": getattr(row, name) for name in _TAKEN}
        self._connection.execute(_TAKE, {"at": row.place, **new})
        self._book(plan)
        self._connection.execute(
            update(epochs)
            .where(epochs.c.chain == chain.chain)
            .values(quarantined=epochs.c.quarantined - 1)
        )
        of = quarantine.c.terminal == chain.terminal, quarantine.c.epoch == chain.epoch
        self._connection.execute(
            update(quarantine)
            .where(*of, quarantine.c.seq == seq_of(row.place), quarantine.c.hash == row.hash)
            .values(settlement._asdict())
        )

    def _book(self, plan: Writes) -> None:
        if plan.entries:
            self._hot.add_entries(plan.entries)
            self._hot.move_balances(plan.balances)
        if plan.uses:
            self._hot.add_uses(plan.uses)
        if plan.states:
            first = counters.take(self._connection, counters.LIST_VERSION, len(plan.states))
            self._hot.set_states(plan.states, first)

    def _keep_apart(self, plan: Writes, now_ms: int) -> None:
        rows = [row._asdict() for row in plan.quarantine]
        if plan.counterparts:
            found = self._connection.execute(_COUNTERPARTS, {"places": plan.counterparts})
            rows += [
                QuarantineRow(
                    *(row.terminal, row.epoch, seq_of(row.place), row.hash, row.data),
                    *(FORK, now_ms),
                )._asdict()
                for row in found
            ]
        if rows:
            self._connection.execute(_APART, rows)

    def _advance(self, chains: Sequence[Chain], now_ms: int) -> None:
        heads = [
            {
                "number": chain.chain,
                "upto": chain.head.seq,
                "head": chain.head.hash,
                "apart": chain.quarantined,
            }
            for chain in chains
        ]
        self._connection.execute(_EPOCH, heads)
        heard = {"names": [chain.terminal for chain in chains], "now_ms": now_ms}
        self._connection.execute(_HEARD, heard)
        forked = [chain.terminal for chain in chains if chain.standing is Standing.FORKED]
        if forked:
            self._connection.execute(_FORKED, {"names": forked})


@contextmanager
def unit_of_work(database: Database) -> Iterator[UnitOfWork]:
    """A write transaction that commits at the end and takes everything back on an exception."""
    with database.write() as connection:
        yield unit_on(connection)


def unit_on(connection: Connection) -> UnitOfWork:
    """What ``connection``, which is in a write transaction, does for the ledger."""
    driver: Any = connection.connection.driver_connection
    sqlite = connection.dialect.name == "sqlite"
    return UnitOfWork(connection, HotSqlite(driver) if sqlite else HotPostgresql(driver))


def bundle_data(connection: Connection, digest: bytes) -> bytes | None:
    """The signed bytes of a published bundle."""
    query = select(bundles.c.data).where(bundles.c.digest == digest)
    return connection.execute(query).scalar()


def _chain(row: Any) -> Chain:
    return Chain(
        chain=row.chain,
        terminal=row.terminal,
        site=row.site,
        epoch=row.epoch,
        algorithm=row.algorithm,
        public_key=row.public_key,
        head=Head(row.epoch, row.upto_seq, row.head_hash),
        quarantined=row.quarantined,
        standing=Standing(row.standing),
        newest_epoch=row.newest_epoch,
        closed_ms=row.closed_ms,
        closed_seq=row.closed_seq,
    )
