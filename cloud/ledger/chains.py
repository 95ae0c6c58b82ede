"""Takes batches into terminals' chains: links, signature, duplicates, gaps, forks. Pure.

What a record means is left to ledger.ingest. A batch is taken whole or refused whole; a record in
it that cannot be read keeps its place in the chain, so that those behind it go on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, NamedTuple, Protocol

import cbor2
from msgspec import Meta, Struct, ValidationError, convert

from cloud.storage.rows import FORK, SEQ_BITS, Chain, QuarantineRow, place_of
from protocol.batch import unpack
from protocol.chain import Head
from protocol.errors import BrokenChain, Malformed, ProtocolError
from protocol.record import Code, Hash, Kind, Record, read, record_hash
from protocol.signing import Purpose, split, verifier, verify
from protocol.watermark import MISSING_RANGES_MAX, Standing

# Batches behind a gap that are kept for each chain: four windows of a terminal.
HELD_FOR_CHAIN_MAX = 16
# Batches behind gaps in all: 32 MiB of records at most. More are asked for again.
HELD_MAX = 1024
# Records of two histories that are kept for each chain; whoever has the key can make any number.
FORKS_KEPT = 1_000
# Keys that verified lately, ready to verify again.
_VERIFIERS_KEPT = 4096

WRONG_TERMINAL = "wrong_terminal"
UNKNOWN_TERMINAL = "unknown_terminal"
WRONG_EPOCH = "wrong_epoch"
KIND_UNSUPPORTED = "kind_unsupported"
# No check refuses the record, and the database cannot take what it does all the same.
INTERNAL = "internal"

_ready_verifier = lru_cache(maxsize=_VERIFIERS_KEPT)(verifier)


class Batch(NamedTuple):
    """A message with the site and terminal of the topic that it came on.

    ``apart`` are positions of records in it that keep their places, and are not booked.
    """

    site: str
    terminal: str
    data: bytes
    apart: Collection[int] = ()


class Step(NamedTuple):
    """One record's place in its chain; ``record`` is None when ``reason`` says why."""

    terminal: str
    epoch: int
    seq: int
    prev: bytes
    hash: bytes
    data: bytes
    record: Record | None
    reason: str


class _Link(Struct, frozen=True, array_like=True):
    """What every version of a record says of its place."""

    terminal: Code
    epoch: Annotated[int, Meta(ge=1, lt=1 << 31)]
    seq: Annotated[int, Meta(ge=1, lt=1 << SEQ_BITS)]
    prev: Hash
    kind: int


class Taken(NamedTuple):
    """A new record of ``chain``."""

    chain: Chain
    step: Step


class Refusal(NamedTuple):
    """A batch of which nothing took effect, with the stable reason code."""

    terminal: str
    reason: str
    detail: str


class KnownChains(Protocol):
    """What the ledger has of the chains."""

    def has_terminal(self, terminal: str) -> bool: ...
    def chain(self, terminal: str, epoch: int) -> Chain | None: ...
    def hashes(self, chain: int, first: int, last: int) -> Sequence[bytes]:
        """Hashes of the records ``first`` to ``last``, which are there."""

    def forks(self, terminal: str, epoch: int) -> int:
        """How many records of two histories are kept of a chain."""


Run = tuple[Step, ...]
_UNREADABLE_LINK = b""
# Numbers of the fields of _Link in protocol.record.Record: they never change.
_LINK_FIELDS = (2, 3, 4, 5, 7)
_KINDS = frozenset(map(int, Kind))
Held = dict[int, dict[int, Run]]  # chain -> first seq -> verified batch behind a gap


@dataclass(slots=True)
class Intake:
    """Batches taken in one transaction. ``held`` is what the transaction before left."""

    known: KnownChains
    held: Held
    received_ms: int
    taken: list[Taken] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    forks: list[QuarantineRow] = field(default_factory=list)
    counterparts: list[int] = field(default_factory=list)
    duplicates: int = 0
    touched: dict[int, Chain] = field(default_factory=dict)
    _fresh: dict[int, bytes] = field(default_factory=dict)
    _stored: dict[int, int] = field(default_factory=dict)
    _chains: dict[tuple[str, int], Chain] = field(default_factory=dict)

    def take(self, batch: Batch) -> None:
        """Take or refuse one batch, then those that waited for it."""
        try:
            run = _steps(batch)
            chain = self._chain_of(batch, run)
            if run[0].seq > chain.head.seq + 1:
                self._hold(chain, run)
            else:
                self._append(chain, run)
                self._release(chain.chain)
        except _Refused as refused:
            self.refusals.append(Refusal(batch.terminal, refused.reason, refused.detail))
        except ProtocolError as error:
            self.refusals.append(Refusal(batch.terminal, error.code, error.detail))

    def missing(self, chain: Chain) -> tuple[tuple[int, int], ...]:
        """The oldest closed ranges of seq that held batches wait for."""
        missing: list[tuple[int, int]] = []
        expected = chain.head.seq + 1
        for first, run in sorted(self.held.get(chain.chain, {}).items()):
            if first > expected:
                missing.append((expected, first - 1))
            expected = max(expected, run[-1].seq + 1)
        return tuple(missing[:MISSING_RANGES_MAX])

    def _chain_of(self, batch: Batch, run: Run) -> Chain:
        epoch = run[0].epoch
        key = batch.terminal, epoch
        chain = self._chains.get(key) or self.known.chain(*key)
        if chain is None:
            known = self.known.has_terminal(batch.terminal)
            raise _Refused(WRONG_EPOCH if known else UNKNOWN_TERMINAL, f"epoch {epoch}")
        if chain.site != batch.site:
            raise _Refused(WRONG_TERMINAL, f"enrolled at {chain.site}, not {batch.site}")
        key_of_chain = _ready_verifier(chain.algorithm, chain.public_key)
        verify(split(run[-1].data), Purpose.RECORD, key_of_chain)
        self._stored.setdefault(chain.chain, chain.head.seq)
        self._change(chain)
        return chain

    def _append(self, chain: Chain, run: Run) -> None:
        head = chain.head
        known = min(run[-1].seq, head.seq)
        if run[0].seq <= known and self._hashes(chain.chain, run[0].seq, known) != [
            step.hash for step in run if step.seq <= known
        ]:
            self._fork(chain, run)
            return
        new = run if run[0].seq > head.seq else run[head.seq - run[0].seq + 1 :]
        self.duplicates += len(run) - len(new)
        if not new:
            return
        if new[0].prev not in (head.hash, _UNREADABLE_LINK):
            if not head.seq:
                raise BrokenChain("the first record does not name the grant")
            self._fork(chain, new)
            return
        for step in new:
            self._fresh[place_of(chain.chain, step.seq)] = step.hash
            self.taken.append(Taken(chain, step))
        self._change(chain._replace(head=Head(chain.epoch, new[-1].seq, new[-1].hash)))

    def _fork(self, chain: Chain, run: Run) -> None:
        """Keep every record that is not the ledger's, and its counterpart in the ledger."""
        last = min(run[-1].seq, chain.head.seq)
        known = dict(enumerate(self._hashes(chain.chain, run[0].seq, last), run[0].seq))
        if self.known.forks(chain.terminal, chain.epoch) < FORKS_KEPT:
            for step in run:
                if known.get(step.seq) != step.hash:
                    self.forks.append(apart(step, FORK, self.received_ms))
                    if step.seq in known:
                        self.counterparts.append(place_of(chain.chain, step.seq))
        detail = f"epoch {chain.epoch}, seq {run[0].seq} to {run[-1].seq}"
        self.refusals.append(Refusal(chain.terminal, FORK, detail))
        # An epoch that ended must not stop the present one, and a fork ends no revocation.
        if chain.epoch == chain.newest_epoch and chain.standing is Standing.ACTIVE:
            self._change(chain._replace(standing=Standing.FORKED))

    def _hashes(self, chain: int, first: int, last: int) -> list[bytes]:
        """Hashes of records that are in the database or were taken just now."""
        stored = self._stored[chain]
        before = self.known.hashes(chain, first, min(last, stored)) if first <= stored else ()
        fresh = range(max(first, stored + 1), last + 1)
        return [*before, *(self._fresh[place_of(chain, seq)] for seq in fresh)]

    def _hold(self, chain: Chain, run: Run) -> None:
        held = self.held.setdefault(chain.chain, {})
        total = sum(map(len, self.held.values()))
        if run[0].seq in held or (len(held) < HELD_FOR_CHAIN_MAX and total < HELD_MAX):
            held[run[0].seq] = run

    def _release(self, number: int) -> None:
        held = self.held.get(number, {})
        for first in sorted(held):
            chain = self.touched[number]
            if first > chain.head.seq + 1:
                break
            self._append(chain, held.pop(first))
        if not held:
            self.held.pop(number, None)

    def _change(self, chain: Chain) -> None:
        self.touched[chain.chain] = self._chains[chain.terminal, chain.epoch] = chain


class _Refused(Exception):
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def apart(step: Step, reason: str, received_ms: int) -> QuarantineRow:
    """The row that keeps a record's bytes apart."""
    return QuarantineRow(
        step.terminal, step.epoch, step.seq, step.hash, step.data, reason, received_ms
    )


def _steps(batch: Batch) -> Run:
    """The records of a batch as one run of links; raises unless they hold together."""
    steps = _placed_steps(batch)
    first = steps[0]
    if first.seq < 1:
        raise Malformed(f"records before the first of epoch {first.epoch}")
    if any(step.terminal != batch.terminal for step in steps):
        raise _Refused(WRONG_TERMINAL, f"records of another terminal than {batch.terminal}")
    if any(step.epoch != first.epoch for step in steps):
        raise _Refused(WRONG_EPOCH, "records of several epochs")
    for before, step in pairwise(steps):
        if step.seq != before.seq + 1 or step.prev not in (before.hash, _UNREADABLE_LINK):
            raise BrokenChain(f"{step.terminal} {step.epoch}/{step.seq} behind {before.seq}")
    return tuple(steps)


def _placed_steps(batch: Batch) -> list[Step]:
    steps = [step_of(data) for data in unpack(batch.data)]
    while steps and not steps[-1].epoch:  # nobody vouches for it: it comes again with the next one
        steps.pop()
    if not steps:
        raise Malformed("no record of the batch can be read")
    for at in range(len(steps) - 1, -1, -1):
        if not steps[at].epoch:
            steps[at] = _placed_before(steps[at], steps[at + 1])
        if at in batch.apart:
            steps[at] = steps[at]._replace(record=None, reason=INTERNAL)
    return steps


def step_of(data: bytes) -> Step:
    """The place and content of a record; without a place (epoch 0) when nobody can tell."""
    try:
        sealed, _ = read(data)
    except ProtocolError as error:
        return _unreadable(data, error.code)
    record = sealed.record
    return Step(
        record.terminal, record.epoch, record.seq, record.prev, sealed.hash, data, record, ""
    )


def _unreadable(data: bytes, reason: str) -> Step:
    """The place of a record that a later version wrote, or none (epoch 0)."""
    digest = record_hash(data)
    try:
        fields = cbor2.loads(split(data).payload)
        link = convert([fields.get(number) for number in _LINK_FIELDS], _Link)
    except (ProtocolError, cbor2.CBORDecodeError, ValidationError, ValueError, AttributeError):
        return Step("", 0, 0, _UNREADABLE_LINK, digest, data, None, reason)
    if reason == Malformed.code and link.kind not in _KINDS:
        reason = KIND_UNSUPPORTED
    return Step(link.terminal, link.epoch, link.seq, link.prev, digest, data, None, reason)


def _placed_before(step: Step, behind: Step) -> Step:
    """Give an unreadable record its place: the one behind it is signed and names its hash."""
    return step._replace(terminal=behind.terminal, epoch=behind.epoch, seq=behind.seq - 1)
