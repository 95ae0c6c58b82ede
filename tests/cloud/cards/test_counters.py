"""Counters rise and never fall, one after another and all at once, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from cloud.cards.counters import TagCounters
from cloud.cards.model import TagRead
from cloud.cards.store import raise_counters
from cloud.errors import StorageDown, TagCopied
from cloud.storage.engine import Database
from cloud.storage.schema import tag_counters
from tests.cloud.front import new_ledger

AT_MS = 1_000
UIDS = [bytes((n,) * 7) for n in range(3)]


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """One database for all drawn examples: each takes back what it wrote."""
    database = new_ledger(tmp_path_factory.mktemp("counters"))
    yield database
    database.close()


def kept(database: Database) -> dict[bytes, int]:
    """Each tag's counter."""
    with database.read() as connection:
        columns = select(tag_counters.c.uid, tag_counters.c.counter)
        return {row[0]: row[1] for row in connection.execute(columns)}


def test_a_repeat_and_an_older_message_are_copies(database: Database) -> None:
    counters = TagCounters(database, lambda: AT_MS)
    counters.admit(TagRead(UIDS[0], 5))
    for copied in (5, 4, 0):
        with pytest.raises(TagCopied):
            counters.admit(TagRead(UIDS[0], copied))
    counters.admit(TagRead(UIDS[1], 1))
    counters.admit(TagRead(UIDS[0], 9))
    assert kept(database) == {UIDS[0]: 9, UIDS[1]: 1}


@given(st.lists(st.tuples(st.sampled_from(UIDS), st.integers(0, 6)), min_size=1, max_size=12))
def test_together_is_as_one_after_another(empty: Database, drawn: list[tuple[bytes, int]]) -> None:
    reads = [TagRead(*each) for each in drawn]
    highest: dict[bytes, int] = {}
    wanted = []
    for uid, counter in reads:
        wanted.append(counter > highest.get(uid, -1))
        highest[uid] = max(counter, highest.get(uid, -1))
    with empty.write() as connection:
        assert raise_counters(connection, reads, AT_MS) == wanted
        connection.rollback()


def test_of_many_with_one_message_one_wins(database: Database) -> None:
    """Two processes and several threads of each: every one of them has its own TagCounters."""
    programs = [TagCounters(database, lambda: AT_MS) for _ in range(2)]
    workers, rounds = 8, 12
    together = Barrier(workers)

    def show(worker: int) -> list[bool]:
        won = []
        for counter in range(1, rounds + 1):
            together.wait(30)
            try:
                programs[worker % 2].admit(TagRead(UIDS[0], counter))
            except TagCopied:
                won.append(False)
            else:
                won.append(True)
        return won

    with ThreadPoolExecutor(workers) as pool:
        outcomes = list(pool.map(show, range(workers)))
    assert [sum(each) for each in zip(*outcomes, strict=True)] == [1] * rounds
    assert kept(database) == {UIDS[0]: rounds}


def test_when_the_disk_fails_nobody_is_told_that_it_counted(tmp_path: Path) -> None:
    database = new_ledger(tmp_path)
    with database.write() as connection:
        connection.exec_driver_sql("DROP TABLE tag_counters")
    counters = TagCounters(database, lambda: AT_MS)
    for _ in range(2):  # and the next one is not held up
        with pytest.raises(StorageDown):
            counters.admit(TagRead(UIDS[0], 1))
    database.close()
