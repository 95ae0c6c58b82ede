"""200 worlds in which everything fails, and planted bugs that the worlds must find."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from msgspec import structs

from cloud.ledger import ingest
from cloud.ledger.chains import Intake, Run, Taken
from cloud.storage.rows import Chain, place_of
from edge import sync_flow
from edge.books import Books
from edge.cache import Cache
from edge.inbox import Inbox
from edge.journal import Journal
from edge.pending import Pending
from edge.relay import Relay
from edge.sync_flow import Delivered, Phase, Receipt, State, Step, Ticked
from protocol import member_list
from protocol.chain import Head
from protocol.member_list import MemberList
from protocol.membership import stored_value
from tests.simulation.settings import Settings
from tests.simulation.world import World

SEEDS = 200
CHUNK = 20
# A planted bug has this many worlds to show itself.
BUG_SEEDS = 12
HARSH = Settings(loss=0.25, duplication=0.4, crash=0.03)


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[Path]:
    """Where the worlds lie: in memory where there is such a folder, as no power fails here."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


def _lived(folder: Path, seed: int, settings: Settings | None = None) -> tuple[World, list[str]]:
    """A world at its end, and what did not hold in it."""
    place = folder / f"{seed}"
    place.mkdir()
    world = World(seed, place, settings)
    try:
        world.run()
        return world, world.verdict()
    finally:
        world.close()


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_world_loses_doubles_or_forgets(first: int, disks: Path) -> None:
    taps = 0
    for seed in range(first, first + CHUNK):
        world, faults = _lived(disks, seed)
        assert faults == [], f"seed {seed}, {world.set}"
        taps += world.taps
    assert taps > CHUNK * 50


def test_a_harsh_world_comes_to_rest(disks: Path) -> None:
    for seed in range(1_000, 1_010):
        assert _lived(disks, seed, HARSH)[1] == [], f"seed {seed}"


def test_the_same_seed_is_the_same_ledger(disks: Path) -> None:
    digests = []
    for name in ("a", "b"):
        (disks / name).mkdir()
        digests.append(_lived(disks / name, 7)[0].digest())
    assert digests[0] == digests[1]


# -- planted bugs: each is one wrong line somewhere, and must be seen ----------------------------


def _puback_is_a_receipt(state: State, event: Delivered, _now_ms: int) -> Step:
    for batch in state.flight:
        if batch.number == event.number:
            state = state._replace(acked=max(state.acked, batch.last))
    return state, ()


def _never_again(state: State, _event: Ticked, _now_ms: int) -> Step:
    return state, ()


def _gap_is_skipped(self: Intake, chain: Chain, run: Run) -> None:
    first = run[0]
    skipped = chain._replace(head=Head(chain.epoch, first.seq - 1, first.prev))
    self._stored[chain.chain] = first.seq - 1
    self._append(skipped, run)


def _book_again(self: Intake, chain: Chain, run: Run) -> None:
    for step in run:
        self._fresh[place_of(chain.chain, step.seq)] = step.hash
        self.taken.append(Taken(chain, step))
    if run[-1].seq > chain.head.seq:
        self._change(chain._replace(head=Head(chain.epoch, run[-1].seq, run[-1].hash)))


def _forget_pending(self: Books) -> None:
    self.pending = Pending()
    self.announced = 1


def _last_batch_waits(state: State, event: Ticked, now_ms: int) -> Step:
    older = state.flight[:-1]
    seen, actions = _ticked(state._replace(flight=older), event, now_ms)
    return (seen, actions) if actions else (state, ())


def _any_epoch(self: Inbox, payload: bytes) -> None:
    news = member_list.accept(payload, self._trust.cloud)
    if self._books.cache.apply(news):
        self._books.list_changed()
    else:
        self.must_report = True


def _leave_unsent(self: Journal) -> None:
    self._passed_over = self._identity.epoch - 1
    _reopen(self)


def _piece_is_whole(self: Cache, news: MemberList) -> bool:
    return _apply(self, structs.replace(news, complete=True))


def _old_list_counts(self: Cache, news: MemberList) -> bool:
    self.state = self.state._replace(server_ms=0)
    return _apply(self, news)


def _old_mark_counts(state: State, event: Receipt, now_ms: int) -> Step:
    return _receipt(state._replace(heard_ms=0), event, now_ms)


_ticked = sync_flow.TABLE[Phase.LINE_UP, Ticked]
_receipt = sync_flow.TABLE[Phase.LINE_UP, Receipt]
_reopen, _apply = Journal.reopen, Cache.apply

Plant = Callable[[pytest.MonkeyPatch], None]
PURE_BUGS: dict[str, Plant] = {
    "the broker's PUBACK is taken for a receipt": lambda patch: patch.setitem(
        sync_flow.TABLE, (Phase.LINE_UP, Delivered), _puback_is_a_receipt
    ),
    "nothing is sent again": lambda patch: patch.setitem(
        sync_flow.TABLE, (Phase.LINE_UP, Ticked), _never_again
    ),
    "the last batch is not sent again when it is lost": lambda patch: patch.setitem(
        sync_flow.TABLE, (Phase.LINE_UP, Ticked), _last_batch_waits
    ),
    "an older watermark is taken for the newest": lambda patch: patch.setitem(
        sync_flow.TABLE, (Phase.LINE_UP, Receipt), _old_mark_counts
    ),
    "an older member list is taken for the newest": lambda patch: patch.setattr(
        Cache, "apply", _old_list_counts
    ),
    "a piece of a member list takes effect alone": lambda patch: patch.setattr(
        Cache, "apply", _piece_is_whole
    ),
    "a member list of another epoch is taken": lambda patch: patch.setattr(
        Inbox, "_on_members", _any_epoch
    ),
    "the next epoch is never turned to": lambda patch: patch.setattr(
        Relay, "_go_on", lambda _self: None
    ),
    "what the old epoch has not sent is left": lambda patch: patch.setattr(
        Journal, "reopen", _leave_unsent
    ),
    "a gap in a chain is skipped": lambda patch: patch.setattr(Intake, "_hold", _gap_is_skipped),
    "a batch that comes twice is booked twice": lambda patch: patch.setattr(
        Intake, "_append", _book_again
    ),
    "late events are folded in the order of arrival": lambda patch: patch.setattr(
        ingest, "advances", lambda _state, _event: True
    ),
    "a void takes no facts back": lambda patch: patch.setattr(
        ingest, "_moved_facts", lambda _there, new: new.facts
    ),
    "own records are forgotten at a restart": lambda patch: patch.setattr(
        Books, "reload", _forget_pending
    ),
    "what stored value cannot cover is forgotten": lambda patch: patch.setattr(
        stored_value, "drawn", lambda held, owed, amount: (max(held - amount, 0), owed)
    ),
}
SHELL_BUGS: dict[str, dict[str, Any]] = {
    "the screen says yes before the disk does": {"answer_first": True},
    "the watermark goes out before the commit": {"watermark_first": True},
    "the member list claims more of our records than it has": {"list_claims": 3},
}


def _is_found(folder: Path, settings: Settings) -> bool:
    for seed in range(BUG_SEEDS):
        try:
            if _lived(folder, seed, settings)[1]:
                return True
        except (AssertionError, LookupError):  # the ledger itself refused to go on
            return True
    return False


@pytest.mark.parametrize("name", PURE_BUGS)
def test_a_bug_in_a_core_is_found(name: str, disks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    PURE_BUGS[name](monkeypatch)
    assert _is_found(disks, HARSH), name


@pytest.mark.parametrize("name", SHELL_BUGS)
def test_a_bug_in_a_shell_is_found(name: str, disks: Path) -> None:
    settings = Settings(HARSH.loss, HARSH.duplication, HARSH.crash, **SHELL_BUGS[name])
    assert _is_found(disks, settings), name
