"""Counters rise and never fall, one after another and all at once, on both databases."""

from __future__ import annotations

from asyncio import CancelledError, create_task, gather, run, sleep, wait_for
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from cloud.cards.counters import TOGETHER_MAX, TagCounters
from cloud.cards.model import TagMessages, TagRead
from cloud.cards.store import raise_counters
from cloud.errors import StorageDown, TagCopied
from cloud.storage.engine import Database
from cloud.storage.schema import tag_counters
from protocol.errors import SunRefused
from tests.cloud.cards.tags import ESTATE, Tag
from tests.cloud.front import new_ledger
from tests.cloud.town import TENANT

AT_MS = 1_000
HEARD_S = 10.0
ODD = b"?odd"
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


def link(uid: bytes, counter: int) -> bytes:
    """What the tag wrote when it was read for the ``counter``-th time."""
    return f"?{Tag(uid, counter=counter - 1).read()}".encode()


def counting(database: Database) -> TagCounters:
    """Of a cloud that holds the estate's key."""
    return TagCounters(database, TagMessages(ESTATE, TENANT), lambda: AT_MS)


def show(counters: TagCounters, shown: bytes) -> bool:
    """Whether it was believed, and not a copy."""
    (outcome,) = counters.judge([shown])
    if isinstance(outcome, TagRead):
        return True
    assert isinstance(outcome, TagCopied)
    return False


def test_a_repeat_and_an_older_message_are_copies(database: Database) -> None:
    counters = counting(database)
    shown = [(0, 5), (0, 5), (0, 4), (0, 1), (1, 1), (0, 9)]
    believed = [show(counters, link(UIDS[tag], counter)) for tag, counter in shown]
    assert believed == [True, False, False, False, True, True]
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
    """Of two processes, each with several threads."""
    programs = [counting(database) for _ in range(2)]
    workers, rounds = 8, 12
    together = Barrier(workers)

    def present(worker: int) -> list[bool]:
        won = []
        for counter in range(1, rounds + 1):
            together.wait(30)
            won.append(show(programs[worker % 2], link(UIDS[0], counter)))
        return won

    with ThreadPoolExecutor(workers) as pool:
        outcomes = list(pool.map(present, range(workers)))
    assert [sum(each) for each in zip(*outcomes, strict=True)] == [1] * rounds
    assert kept(database) == {UIDS[0]: rounds}


def test_those_who_wait_are_served_together(tmp_path: Path) -> None:
    """Each hears its own answer, also behind one who went away."""
    database = new_ledger(tmp_path)
    counters = counting(database)
    genuine = [link(UIDS[0], counter) for counter in range(1, 2 * TOGETHER_MAX)]
    shown = [*genuine, genuine[7], b"?s=quay"]

    async def phones() -> list[TagRead | BaseException]:
        asked = [create_task(counters.admit(each)) for each in shown]
        await sleep(0)
        asked[3].cancel()
        return await gather(*asked, return_exceptions=True)

    with ThreadPoolExecutor(1) as own:  # Playwright has its loop in this one
        answers = own.submit(lambda: run(phones())).result()
    assert isinstance(answers.pop(3), CancelledError)
    *counted, repeat, stranger = answers
    assert [each.counter for each in counted if isinstance(each, TagRead)] == [
        counter for counter in range(1, 2 * TOGETHER_MAX) if counter != 4
    ]
    assert isinstance(repeat, TagCopied)
    assert isinstance(stranger, SunRefused)
    assert show(counters, link(UIDS[1], 1))
    database.close()


class Odd(TagMessages):
    """Stumbles over a link as no code of ours foresaw."""

    stumble: Exception = ZeroDivisionError()

    def read(self, link: bytes) -> TagRead:
        """See TagMessages."""
        if link == ODD:
            raise self.stumble
        return super().read(link)


def no_thread(*_: object) -> None:
    """What Python says when the machine has no memory for one more."""
    raise RuntimeError("can't start new thread")


async def ask(counters: TagCounters, *links: bytes) -> list[TagRead | BaseException]:
    """What each hears; nobody waits for ever."""
    asked = (counters.admit(each) for each in links)
    return await wait_for(gather(*asked, return_exceptions=True), HEARD_S)


def in_its_own_loop(phones: Callable[[], Coroutine[object, object, None]]) -> None:
    """Playwright has its loop in this thread."""
    with ThreadPoolExecutor(1) as own:
        own.submit(lambda: run(phones())).result()


def test_what_nobody_foresaw_holds_up_no_other(tmp_path: Path) -> None:
    """Neither those with it nor whoever comes next."""
    database = new_ledger(tmp_path)
    counters = TagCounters(database, Odd(ESTATE, TENANT), lambda: AT_MS)

    async def phones() -> None:
        stumbled, genuine = await ask(counters, ODD, link(UIDS[0], 1))
        assert isinstance(stumbled, ZeroDivisionError)
        assert genuine == TagRead(UIDS[0], 1)
        assert await ask(counters, link(UIDS[0], 2)) == [TagRead(UIDS[0], 2)]

    in_its_own_loop(phones)
    database.close()


def test_when_the_serving_itself_ends_nobody_waits_and_the_next_is_served(tmp_path: Path) -> None:
    database = new_ledger(tmp_path)
    messages = Odd(ESTATE, TENANT)
    messages.stumble = StopIteration()  # which no future takes
    counters = TagCounters(database, messages, lambda: AT_MS)

    async def phones() -> None:
        heard = await ask(counters, *[ODD] * TOGETHER_MAX, link(UIDS[0], 1))
        assert {type(each) for each in heard} == {CancelledError}
        assert await ask(counters, link(UIDS[0], 1)) == [TagRead(UIDS[0], 1)]

    in_its_own_loop(phones)
    database.close()


def test_when_no_thread_is_free_all_hear_it_and_the_next_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = new_ledger(tmp_path)
    counters = counting(database)
    crowd = [link(UIDS[0], 1)] * (TOGETHER_MAX + 1)

    async def phones() -> None:
        with monkeypatch.context() as machine:
            machine.setattr("cloud.cards.counters.run_in_threadpool", no_thread)
            heard = await ask(counters, *crowd)
        assert {type(each) for each in heard} == {RuntimeError}
        assert await ask(counters, link(UIDS[0], 1)) == [TagRead(UIDS[0], 1)]

    in_its_own_loop(phones)
    database.close()


def test_when_the_disk_fails_nobody_is_told_that_it_counted(tmp_path: Path) -> None:
    database = new_ledger(tmp_path)
    with database.write() as connection:
        connection.exec_driver_sql("DROP TABLE tag_counters")
    stranger, genuine = counting(database).judge([b"?s=quay", link(UIDS[0], 1)])
    assert isinstance(stranger, SunRefused)
    assert isinstance(genuine, StorageDown)
    database.close()
