"""The agent's loop: tills, cards, disks and time meet in one queue; nobody waits for nothing."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from drivers.errors import CardForged, CardGone, CardUnknown, ReaderLost
from edge.agent import MESSAGES_MAX
from edge.errors import BadOrder, CannotAccept, OrderBusy, OrderReused, OrderUnknown
from edge.order import Answer, AnswerState, Item, sale, top_up, void
from edge.relay import UNHEARD_MS
from edge.tap_flow import ORDER_WAITS_MS, RESULT_MS, Phase
from protocol.errors import BadAmount, UnknownProduct
from protocol.record import Kind
from protocol.topics import Down
from tests.edge.test_relay import mark
from tests.edge.world import (
    SOON_S,
    START_MS,
    Assembly,
    Time,
    assemble,
    close,
    coffee,
    identity,
    new_books,
    published,
    running,
    stocked_books,
    wait_until,
)


@pytest.fixture
def terminal(tmp_path: Path, time_: Time) -> Iterator[Assembly]:
    books = stocked_books(tmp_path, time_.clock)
    assembly = assemble(books, time_.clock)
    with running(assembly.agent):
        yield assembly
    close(books)


def present(terminal: Assembly, number: int = 1) -> None:
    """Hold a card to the reader."""
    terminal.agent.on_card(identity(number), 0.5)


def shown(terminal: Assembly, phase: Phase) -> None:
    """Wait until the screen says so."""
    counter = terminal.agent.counter
    wait_until(lambda: counter.screen().phase is phase, f"phase {phase}")


def test_an_order_waits_for_its_card_and_is_answered(terminal: Assembly) -> None:
    counter = terminal.agent.counter
    assert counter.place(coffee("o1")).state is AnswerState.WAITING
    shown(terminal, Phase.WAITING_CARD)
    screen = counter.screen()
    assert (screen.order, screen.total, screen.lines[0].net_price) == (coffee("o1"), 500, 500)
    assert counter.answer("o1", 0).state is AnswerState.WAITING
    heard: list[Answer] = []
    till = threading.Thread(target=lambda: heard.append(counter.answer("o1", 10)))
    till.start()
    present(terminal)
    till.join()
    assert heard[0].state is AnswerState.APPROVED
    assert heard[0].stages_ms.keys() == {"identify", "decide", "record", "show", "tap"}
    assert counter.place(coffee("o1")).tid == heard[0].tid, "placed again it is not booked again"
    screen = counter.screen()
    assert (screen.phase, screen.total, screen.lines[0].sku) == (Phase.RESULT, 500, "coffee")
    assert screen.answer is not None
    assert screen.answer.tid == heard[0].tid


def test_another_order_under_a_booked_id_is_refused(terminal: Assembly) -> None:
    counter = terminal.agent.counter
    counter.place(coffee("o1"))
    present(terminal)
    booked = counter.answer("o1", 10)
    for other in (sale("o1", (Item("bun", 9),)), top_up("o1", 100_000, "cash")):
        with pytest.raises(OrderReused):
            counter.place(other)
    assert counter.screen().phase is Phase.RESULT, "what is on the screen stays"
    assert counter.place(coffee("o1")).tid == booked.tid


def test_a_card_without_an_order_shows_its_balance(terminal: Assembly) -> None:
    present(terminal)
    shown(terminal, Phase.RESULT)
    answer = terminal.agent.counter.screen().answer
    assert answer is not None
    assert (answer.code, answer.balance) == ("balance_shown", 10_000)


def test_one_order_at_a_time(terminal: Assembly) -> None:
    counter = terminal.agent.counter
    counter.place(coffee("o1"))
    with pytest.raises(OrderBusy):
        counter.place(coffee("o2"))
    with pytest.raises(OrderReused):
        counter.place(coffee("o1", 2))
    assert counter.cancel("o1").state is AnswerState.CANCELLED
    assert counter.place(coffee("o2")).state is AnswerState.WAITING


def test_what_nobody_knows(terminal: Assembly) -> None:
    counter = terminal.agent.counter
    with pytest.raises(OrderUnknown):
        counter.answer("o9", 0.01)
    with pytest.raises(OrderUnknown):
        counter.cancel("o9")


def test_a_product_without_price_is_refused_at_once(terminal: Assembly) -> None:
    with pytest.raises(UnknownProduct):
        terminal.agent.counter.place(sale("o1", (Item("tea", 1),)))
    assert terminal.agent.counter.screen().phase is Phase.ATTRACT


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: sale("o", ()), BadOrder),
        (lambda: sale("o", (Item("a", 1), Item("a", 2))), BadOrder),
        (lambda: sale("o", (Item("a", 0),)), BadAmount),
        (lambda: top_up("o", 0, "cash"), BadOrder),
        (lambda: top_up("o", -1, "cash"), BadAmount),
        (lambda: top_up("o", 100, "stored_value"), BadOrder),
        (lambda: void("o", b"short"), BadOrder),
    ],
)
def test_an_order_that_cannot_be_one(make: Callable[[], object], error: type[Exception]) -> None:
    with pytest.raises(error):
        make()


def test_an_order_does_not_wait_for_ever(terminal: Assembly, time_: Time) -> None:
    counter = terminal.agent.counter
    counter.place(coffee("o1"))
    time_.passes(ORDER_WAITS_MS - 1)
    assert counter.answer("o1", 0).state is AnswerState.WAITING
    time_.passes(1)
    assert counter.answer("o1", 10).code == "timed_out"
    shown(terminal, Phase.ATTRACT)


def test_a_result_makes_room(terminal: Assembly, time_: Time) -> None:
    present(terminal)
    shown(terminal, Phase.RESULT)
    assert terminal.agent.counter.screen().lasts_s == RESULT_MS / 1000
    time_.passes(RESULT_MS)
    shown(terminal, Phase.ATTRACT)


def test_a_card_taken_away_keeps_the_order(terminal: Assembly) -> None:
    counter = terminal.agent.counter
    counter.place(coffee("o1"))
    for problem in (CardGone(), ReaderLost()):
        terminal.agent.on_problem(problem, 0.5)
        wait_until(lambda code=problem.code: counter.screen().problem == code)  # type: ignore[misc]
        assert counter.screen().order == coffee("o1")
    present(terminal)
    assert counter.answer("o1", 10).state is AnswerState.APPROVED


@pytest.mark.parametrize("problem", [CardForged("it lies"), CardUnknown()])
def test_a_card_that_is_not_ours_is_declined_and_written(
    terminal: Assembly, problem: CardForged | CardUnknown
) -> None:
    counter = terminal.agent.counter
    counter.place(coffee("o1"))
    terminal.agent.on_problem(problem, 0.5)
    answer = counter.answer("o1", 10)
    assert (answer.state, answer.code) == (AnswerState.DECLINED, problem.code)
    newest = terminal.books.journal.newest()
    assert newest is not None
    assert (newest.record.kind, newest.record.card) == (Kind.DECLINE, None)


def test_new_prices_are_on_the_screen_at_their_minute(terminal: Assembly, time_: Time) -> None:
    counter = terminal.agent.counter
    terminal.agent.post(lambda: terminal.books.arm(published(2, START_MS + 5_000, coffee=900)))
    wait_until(lambda: counter.screen().bundle == 1)
    time_.passes(5_000)
    wait_until(lambda: counter.screen().bundle == 2, "the new bundle")
    assert counter.screen().products[0].price == 900
    newest = terminal.books.journal.newest()
    assert newest is not None
    assert newest.record.kind is Kind.BUNDLE_ON, "written before the first sale under it"


def test_a_page_waits_for_the_next_screen(terminal: Assembly) -> None:
    counter = terminal.agent.counter
    before = counter.screen()
    assert counter.wait_screen(before.revision, 0.01) == before
    seen = []
    page = threading.Thread(target=lambda: seen.append(counter.wait_screen(before.revision, 10)))
    page.start()
    counter.place(coffee("o1"))
    page.join()
    assert seen[0].revision > before.revision


def test_who_waits_is_let_go_when_the_agent_ends(tmp_path: Path) -> None:
    books = stocked_books(tmp_path)
    terminal = assemble(books, Time().clock)
    counter = terminal.agent.counter
    with running(terminal.agent):
        counter.place(coffee("o1"))
        revision = counter.screen().revision
        waits = [
            threading.Thread(target=lambda: counter.wait_screen(revision + 99, 60)),
            threading.Thread(target=lambda: counter.answer("o1", 60)),
        ]
        for wait in waits:
            wait.start()
    for wait in waits:
        wait.join(5)
        assert not wait.is_alive()
    close(books)


def test_another_program_that_holds_the_journal_is_waited_out(
    terminal: Assembly, tmp_path: Path, time_: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.database._BUSY_S", 0.05)
    terminal.agent.post(terminal.books.journal.reopen)
    counter = terminal.agent.counter
    counter.place(coffee("o1"))
    other = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    present(terminal)
    shown(terminal, Phase.CANNOT_ACCEPT)
    assert counter.screen().closed == "journal_refused"
    assert counter.answer("o1", 0).state is AnswerState.WAITING
    with pytest.raises(CannotAccept):
        counter.place(coffee("o2"))
    other.execute("ROLLBACK")
    other.close()
    time_.passes(1_000)
    shown(terminal, Phase.WAITING_CARD)
    present(terminal)
    assert counter.answer("o1", 10).state is AnswerState.APPROVED


def test_a_cache_that_refuses_is_read_again(terminal: Assembly, time_: Time) -> None:
    counter = terminal.agent.counter
    counter.place(coffee("o1"))
    terminal.agent.post(terminal.books.cache.close)
    terminal.inbox.must_report = False
    present(terminal)
    shown(terminal, Phase.CANNOT_ACCEPT)
    time_.passes(1_000)
    shown(terminal, Phase.WAITING_CARD)
    assert terminal.inbox.must_report, "the cloud sends what may be missing"
    present(terminal)
    assert counter.answer("o1", 10).balance == 9_500


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte, where this process may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, check=False).returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_refuses_and_goes_on_when_there_is_room(small_disk: Path) -> None:
    time_ = Time()
    books = stocked_books(small_disk, time_.clock)
    books.switch_bundle()
    terminal = assemble(books, time_.clock)
    counter = terminal.agent.counter
    answered = 0
    ballast = small_disk / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(1024)):
            pass
    with running(terminal.agent):
        while counter.screen().phase is not Phase.CANNOT_ACCEPT:
            counter.place(coffee(f"o{answered}"))
            present(terminal)
            wait_until(lambda: counter.screen().phase is not Phase.WAITING_CARD)
            answered += counter.answer(f"o{answered}", 0).state is not AnswerState.WAITING
        ballast.unlink()
        time_.passes(1_000)
        shown(terminal, Phase.WAITING_CARD)
        present(terminal)
        assert counter.answer(f"o{answered}", 10).tid
    close(books)
    again = new_books(small_disk)
    booked = [record.order for record in again.journal.since(0, 0) if record.order]
    assert booked == [f"o{number}" for number in range(answered + 1)]
    close(again)


def test_a_flood_of_messages_waits_and_never_holds_up_who_has_a_lock(
    tmp_path: Path, time_: Time
) -> None:
    """The line's library tells of a delivery while it holds what publishing needs."""
    books = stocked_books(tmp_path, time_.clock)
    agent = assemble(books, time_.clock).agent

    def flood() -> None:
        for _ in range(MESSAGES_MAX + 1):
            agent.on_message(Down.DESIRED, b"")

    flooding = threading.Thread(target=flood, daemon=True)
    flooding.start()
    wait_until(lambda: agent._queue.qsize() == MESSAGES_MAX, "the flood")  # noqa: SLF001
    telling = threading.Thread(target=agent.on_delivered, args=(1,), daemon=True)
    telling.start()
    telling.join(SOON_S)
    assert not telling.is_alive()
    assert flooding.is_alive(), "the last one waits for room"
    with running(agent):
        flooding.join(SOON_S)
        assert not flooding.is_alive()
    close(books)


def test_a_broker_without_a_ledger_is_no_line(terminal: Assembly, time_: Time) -> None:
    """Nobody acknowledges: what a card may spend is bounded as if the line were down."""
    counter, seen = terminal.agent.counter, []
    terminal.agent.on_line_up("s")
    _, word = mark(terminal.books, 1)
    terminal.agent.on_message(Down.ACK, word)
    for number in range(2):
        counter.place(coffee(f"o{number}"))
        present(terminal)
        seen.append(counter.answer(f"o{number}", 10).offline)
        time_.passes(UNHEARD_MS)
    assert seen == [False, True]
