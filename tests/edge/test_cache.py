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


def test_pieces_take_effect_together_with_the_last(cache: Cache) -> None:
    """A member who is in the first piece with our own record must not be counted twice."""
    assert cache.apply(members([snapshot(1, 100), snapshot(2, 200)], version=4))
    first = structs.replace(members([snapshot(1, 150)], 5, 4, upto_seq=9), complete=False)
    assert cache.apply(first)
    assert (_principal(cache, 1), cache.state[:2]) == (100, (4, Place(1, 0)))
    assert cache.apply(members([snapshot(2, 250)], version=6, base=5, upto_seq=9))
    assert (_principal(cache, 1), _principal(cache, 2)) == (150, 250)
    assert cache.state == ListState(6, Place(1, 9))


def test_a_whole_list_in_pieces_replaces_everything_with_the_last(tmp_path: Path) -> None:
    with closing(Cache(tmp_path / "cache.db")) as before:
        before.apply(members([snapshot(1), snapshot(9)], version=5))
        first = members([snapshot(1, 1), snapshot(2, 2)], version=3)
        assert before.apply(structs.replace(first, complete=False))
        assert before.members() == 2
    with closing(Cache(tmp_path / "cache.db")) as after:
        assert after.apply(members([snapshot(3, 3)], version=4, base=3))
        assert [_principal(after, number) for number in (1, 2, 3, 9)] == [1, 2, 3, None]


def test_pieces_without_their_last_are_forgotten_when_another_list_begins(cache: Cache) -> None:
    assert cache.apply(members([snapshot(1, 100)], version=4))
    piece = structs.replace(members([snapshot(1, 150), snapshot(2)], 7, 4), complete=False)
    assert cache.apply(piece)
    assert cache.apply(members([snapshot(1, 120)], version=5, base=4))
    assert (_principal(cache, 1), _principal(cache, 2)) == (120, None)


def test_a_repeat_of_the_past_changes_nothing(tmp_path: Path) -> None:
    """A whole list fits always: only the cloud's clock tells that it is an old one."""
    old = structs.replace(members([snapshot(1, 100)], version=5), server_ms=1_000)
    with closing(Cache(tmp_path / "cache.db")) as before:
        before.apply(old)
        before.apply(structs.replace(members([snapshot(1, 0)], 6, 5), server_ms=2_000))
    with closing(Cache(tmp_path / "cache.db")) as after:
        assert after.apply(old)
        assert (_principal(after, 1), after.state.version) == (0, 6)


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


def test_of_another_life_of_the_ledger_only_a_whole_list_is_taken(tmp_path: Path) -> None:
    """Its versions may be anything: below ours, or just the ones that would continue ours."""
    with closing(Cache(tmp_path / "cache.db")) as cache:
        whole = structs.replace(members([snapshot(1, 100), snapshot(9)], version=150), feed=7)
        assert cache.apply(whole)
        change = members([snapshot(1, 1)], version=160, base=150)
        assert not cache.apply(structs.replace(change, feed=8))
        assert cache.apply(structs.replace(change, feed=7))
        piece = structs.replace(members([snapshot(1, 2)], version=119), feed=8, complete=False)
        assert cache.apply(piece)
        assert not cache.apply(structs.replace(members([], version=120, base=119), feed=9))
        assert (_principal(cache, 1), cache.state.feed) == (1, 7)
    with closing(Cache(tmp_path / "cache.db")) as cache:
        assert cache.apply(structs.replace(members([], version=120, base=119), feed=8))
        assert (_principal(cache, 1), cache.members(), cache.state.feed) == (2, 1, 8)
    with closing(Cache(tmp_path / "cache.db")) as cache:
        assert cache.state == ListState(120, Place(1, 0), feed=8)
