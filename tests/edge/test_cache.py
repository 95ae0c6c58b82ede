"""The member list on the terminal's disk: changes in order, in pieces, late and twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec import structs

from edge.cache import Cache, ListState
from edge.pending import Place
from tests.edge.world import card, members, snapshot


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    with closing(Cache(tmp_path / "cache.db")) as opened:
        yield opened


def _principal(cache: Cache, number: int) -> int | None:
    found = cache.snapshot(card(number).reference)
    return found.state.principal if found else None


def test_changes_follow_one_another(cache: Cache) -> None:
    assert cache.apply(members([snapshot(1, 100), snapshot(2, 200)], version=5))
    assert cache.apply(members([snapshot(2, 250)], version=6, base=5, upto_seq=3))
    assert (_principal(cache, 1), _principal(cache, 2)) == (100, 250)
    assert cache.state == ListState(6, Place(1, 3))


def test_changes_with_something_missing_before_them_are_refused(cache: Cache) -> None:
    assert cache.apply(members([snapshot(1, 100)], version=5))
    assert not cache.apply(members([snapshot(1, 300)], version=8, base=7))
    assert _principal(cache, 1) == 100
    assert cache.state.version == 5


def test_changes_from_further_back_are_taken(cache: Cache) -> None:
    """The cloud may not know yet what has arrived: what overlaps is right all the same."""
    assert cache.apply(members([snapshot(1, 100)], version=5))
    assert cache.apply(members([snapshot(1, 110)], version=6, base=5))
    assert cache.apply(members([snapshot(1, 120), snapshot(2, 20)], version=7, base=5))
    assert (_principal(cache, 1), _principal(cache, 2)) == (120, 20)


def test_a_late_message_takes_nothing_back(cache: Cache) -> None:
    assert cache.apply(members([snapshot(1, 100)], version=5))
    assert cache.apply(members([snapshot(1, 120)], version=7, base=5, upto_seq=9))
    assert cache.apply(members([snapshot(1, 110)], version=6, base=5, upto_seq=4))
    assert _principal(cache, 1) == 120
    assert cache.state == ListState(7, Place(1, 9))


def test_own_records_are_covered_only_by_the_last_piece(cache: Cache) -> None:
    first = members([snapshot(1, 100)], version=5, upto_seq=9)
    assert cache.apply(structs.replace(first, complete=False))
    assert cache.state == ListState(5, Place(0, 0))
    assert cache.apply(members([snapshot(2, 200)], version=6, base=5, upto_seq=9))
    assert cache.state == ListState(6, Place(1, 9))


def test_a_whole_list_replaces_everything(cache: Cache) -> None:
    assert cache.apply(members([snapshot(1), snapshot(2)], version=5))
    assert cache.apply(members([snapshot(2, 7)], version=3))
    assert (_principal(cache, 1), _principal(cache, 2)) == (None, 7)
    assert cache.members() == 1


def test_the_list_is_there_after_a_restart(tmp_path: Path) -> None:
    with closing(Cache(tmp_path / "cache.db")) as before:
        before.apply(members([snapshot(1, 100)], version=5, upto_seq=2))
    with closing(Cache(tmp_path / "cache.db")) as after:
        assert _principal(after, 1) == 100
        assert after.state == ListState(5, Place(1, 2))


def test_a_broken_file_is_an_empty_list(tmp_path: Path) -> None:
    """All of it comes again: nothing is worth a terminal that does not start."""
    (tmp_path / "cache.db").write_bytes(b"not a database, " * 100)
    with closing(Cache(tmp_path / "cache.db")) as opened:
        assert opened.state == ListState()
