"""What a tap becomes: each answer is one record, priced, limited and remembered as it should be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from msgspec import structs

from edge.books import Books, Situation
from edge.errors import JournalRefused, OrderReused
from edge.order import AnswerState, Item, Order, sale, top_up, void
from edge.tap_flow import Book
from protocol.member_list import CardEntry, CardState, Snapshot
from protocol.membership.state import State
from protocol.record import CardClass, Kind, Mode
from protocol.rules import bundle
from protocol.rules.bundle import Bundle, Product, Published, Rule
from tests.edge.world import (
    AT,
    BUN,
    COFFEE,
    OFFLINE,
    ONLINE,
    RULES_KEY,
    card,
    close,
    coffee,
    members,
    new_books,
    published,
    records,
    snapshot,
    stocked_books,
    tap,
)


def learn(books: Books, *snapshots: Snapshot, version: int = 2, upto_seq: int = 0) -> None:
    """A member list from the cloud."""
    base = version - 1
    assert books.cache.apply(members(snapshots, version, base, upto_seq))
    books.list_changed()


def test_a_journal_begins_with_its_epoch_and_the_bundle(books: Books) -> None:
    books.book(tap(None), ONLINE)
    first, second, third = records(books)
    assert (first.kind, second.kind) == (Kind.EPOCH_OPEN, Kind.BUNDLE_ON)
    assert second.bundle is not None
    assert second.bundle.version == 1
    assert (third.kind, third.reason) == (Kind.CARD_EVENT, "balance_shown")


def test_a_sale_draws_stored_value_and_earns(books: Books) -> None:
    order = sale("o1", (Item("coffee", 2), Item("bun", 1)))
    answer, record = books.book(tap(order), ONLINE)
    assert answer.state is AnswerState.APPROVED
    assert (answer.total, answer.earned, answer.balance, answer.points) == (1300, 13, 8700, 13)
    assert (answer.receipt, answer.tier, answer.bundle) == ("t-0001-1-3", "basic", 1)
    assert answer.stages_ms.keys() == {"decide", "record"}
    assert [(line.sku, line.quantity, line.net_price) for line in record.lines] == [
        ("coffee", 2, 2 * COFFEE),
        ("bun", 1, BUN),
    ]
    assert record.tenders[0].method == "stored_value"
    assert (record.mode, record.offline_left, record.list_version) == (Mode.ONLINE, None, 1)
    assert record == records(books)[-1]


@pytest.mark.parametrize("situation", [ONLINE, OFFLINE])
def test_a_card_that_is_only_a_number_earns_by_what_the_till_was_paid(
    books: Books, situation: Situation
) -> None:
    order = sale("o1", (Item("coffee", 20),), "cash")
    answer, record = books.book(Book(order, card(1, CardClass.UID), ""), situation)
    assert (answer.total, answer.earned, answer.balance) == (10_000, 100, 10_000)
    assert (record.kind, record.tenders[0].method) == (Kind.SALE, "cash")
    assert record.offline_left is None
    answer, record = books.book(tap(coffee("o2")), OFFLINE)
    assert answer.state is AnswerState.APPROVED
    assert record.offline_left == (2, 1_000), "the first purchase that the limits count"


def test_a_top_up_is_there_at_once(books: Books) -> None:
    answer, record = books.book(tap(top_up("o1", 2_000, "cash")), ONLINE)
    assert (record.kind, record.tenders[0].method, answer.balance) == (Kind.TOP_UP, "cash", 12_000)
    answer, _ = books.book(tap(coffee("o2")), ONLINE)
    assert answer.balance == 11_500


def test_a_tier_has_its_price(books: Books) -> None:
    learn(books, snapshot(1, qualifying=100_000))
    answer, record = books.book(tap(coffee("o1")), ONLINE)
    assert (answer.tier, answer.total, record.lines[0].rules) == ("silver", 450, ("silver10",))


def _unknown_product() -> Order:
    return sale("o1", (Item("tea", 1),))


CARD_STATES = {
    CardState.FROZEN: "card_frozen",
    CardState.LOST: "card_lost",
    CardState.CANCELLED: "card_cancelled",
}


@pytest.mark.parametrize(("state", "reason"), CARD_STATES.items())
@pytest.mark.parametrize("order", [None, coffee("o1")])
def test_a_card_that_must_not_be_used(
    books: Books, state: CardState, reason: str, order: Order | None
) -> None:
    learn(books, snapshot(1, state=state))
    assert _declined(books, tap(order), ONLINE) == reason


@pytest.mark.parametrize(
    ("book", "situation", "reason"),
    [
        (tap(coffee("o1"), number=2), ONLINE, "card_unknown"),
        (tap(None, number=2), ONLINE, "card_unknown"),
        (Book(coffee("o1"), None, "card_forged"), ONLINE, "card_forged"),
        (Book(None, None, "card_unknown"), ONLINE, "card_unknown"),
        (Book(coffee("o1"), card(1, CardClass.UID), ""), ONLINE, "card_cannot_pay"),
        (tap(coffee("o1", 21)), ONLINE, "balance_too_low"),
        (tap(_unknown_product()), ONLINE, "unknown_product"),
        (tap(coffee("o1")), ONLINE._replace(closed="terminal_locked"), "terminal_locked"),
        (tap(None), ONLINE._replace(closed="terminal_stopped"), "terminal_stopped"),
        (tap(coffee("o1", 4)), OFFLINE, "offline_limit"),
        (tap(void("o1", bytes(16))), ONLINE, "void_unknown"),
    ],
)
def test_every_reason_to_decline(
    books: Books, book: Book, situation: Situation, reason: str
) -> None:
    assert _declined(books, book, situation) == reason


def _declined(books: Books, book: Book, situation: Situation) -> str:
    """Book a tap that must be declined; return the reason that its one record names."""
    before = len(records(books))
    answer, record = books.book(book, situation)
    assert answer.state is AnswerState.DECLINED
    assert record.kind is Kind.DECLINE
    assert record.card == book.card
    assert (record.order, record.lines, record.tenders) == (answer.order, (), ())
    fresh = [each.kind for each in records(books)[before:]]
    assert fresh in ([Kind.DECLINE], [Kind.BUNDLE_ON, Kind.DECLINE])
    assert answer.code == record.reason
    return record.reason


def test_without_a_bundle_nothing_is_sold_but_a_balance_is_shown(tmp_path: Path) -> None:
    books = new_books(tmp_path)
    books.cache.apply(members([snapshot()]))
    books.list_changed()
    assert _declined(books, tap(coffee("o1")), ONLINE) == "no_prices"
    assert _declined(books, tap(top_up("o2", 100, "cash")), ONLINE) == "no_prices"
    answer, _ = books.book(tap(None), ONLINE)
    assert (answer.state, answer.balance, answer.tier) == (AnswerState.APPROVED, 10_000, "")
    close(books)


def test_offline_limits_count_until_the_ledger_has_it(books: Books) -> None:
    for number, left in ((1, (2, 1_000)), (2, (1, 500)), (3, (0, 0))):
        answer, record = books.book(tap(coffee(f"o{number}")), OFFLINE)
        assert (answer.offline, record.mode, record.offline_left) == (True, Mode.OFFLINE, left)
    assert _declined(books, tap(coffee("o4")), OFFLINE) == "offline_limit"
    assert books.book(tap(coffee("o5")), ONLINE)[0].state is AnswerState.APPROVED
    assert _declined(books, tap(coffee("o6")), OFFLINE) == "offline_limit"
    books.pending.acknowledge(books.pending.acknowledged._replace(epoch=1, seq=4))
    assert books.book(tap(coffee("o7")), OFFLINE)[1].offline_left == (1, 500)


def test_offline_limits_survive_a_restart(tmp_path: Path) -> None:
    books = stocked_books(tmp_path)
    for number in range(3):
        books.book(tap(coffee(f"o{number}")), OFFLINE)
    close(books)
    again = new_books(tmp_path)
    again.arm(published())
    assert _declined(again, tap(coffee("o9")), OFFLINE) == "offline_limit"
    close(again)


def test_two_cards_of_a_member_share_the_balance(books: Books) -> None:
    cards = (CardEntry(card(1).reference), CardEntry(card(2).reference))
    learn(books, Snapshot("m-1", cards, State(principal=800)))
    assert books.book(tap(coffee("o1"), number=1), ONLINE)[0].balance == 300
    assert _declined(books, tap(coffee("o2"), number=2), ONLINE) == "balance_too_low"


def test_a_list_that_has_our_records_is_not_added_to(books: Books) -> None:
    books.book(tap(coffee("o1")), ONLINE)
    books.book(tap(coffee("o2")), ONLINE)
    learn(books, snapshot(1, principal=9_500), upto_seq=3)
    assert books.book(tap(None), ONLINE)[0].balance == 9_000, "the second is not in the list"
    learn(books, snapshot(1, principal=9_000), version=3, upto_seq=5)
    assert books.book(tap(None), ONLINE)[0].balance == 9_000


def test_a_list_that_goes_back_brings_our_records_back(books: Books) -> None:
    books.book(tap(coffee("o1")), ONLINE)
    learn(books, snapshot(1, principal=9_500), upto_seq=3)
    assert books.cache.apply(members([snapshot(1, principal=10_000)], 7, 0, 0))
    books.list_changed()
    assert books.book(tap(None), ONLINE)[0].balance == 9_500


def test_the_balance_is_the_same_after_a_restart(tmp_path: Path) -> None:
    books = stocked_books(tmp_path)
    books.book(tap(coffee("o1")), ONLINE)
    _, paid_in = books.book(tap(top_up("o2", 700, "cash")), ONLINE)
    books.book(tap(void("o3", paid_in.tid)), ONLINE)
    before = books.book(tap(None), ONLINE)[0]
    close(books)
    again = new_books(tmp_path)
    after = again.book(tap(None), ONLINE)[0]
    assert (after.balance, after.points) == (before.balance, before.points) == (9_500, 5)
    close(again)


@pytest.mark.parametrize("covered", [False, True])
def test_a_void_takes_back_what_was_moved(books: Books, covered: bool) -> None:  # noqa: FBT001
    _, sold = books.book(tap(coffee("o1")), ONLINE)
    if covered:
        seen = State(principal=9_500, points=5, qualifying=500)
        learn(books, structs.replace(snapshot(), state=seen), upto_seq=sold.seq)
    answer, record = books.book(tap(void("o2", sold.tid)), ONLINE)
    assert (record.kind, record.refers_to) == (Kind.VOID, sold.tid)
    assert (answer.total, answer.balance, answer.points) == (500, 10_000, 0)
    assert _declined(books, tap(void("o3", sold.tid)), ONLINE) == "void_twice"
    assert books.book(tap(None), ONLINE)[0].balance == 10_000


def test_a_void_needs_the_card_that_paid(books: Books) -> None:
    learn(books, snapshot(2))
    _, sold = books.book(tap(coffee("o1")), ONLINE)
    assert _declined(books, tap(void("o2", sold.tid), number=2), ONLINE) == "void_other_card"


def test_offline_only_what_nobody_else_knows_is_taken_back(books: Books) -> None:
    """What the ledger has may have been taken back elsewhere."""
    _, known = books.book(tap(coffee("o1")), ONLINE)
    _, own = books.book(tap(coffee("o2")), ONLINE)
    books.pending.acknowledge(books.pending.acknowledged._replace(epoch=1, seq=known.seq))
    assert _declined(books, tap(void("o3", known.tid)), OFFLINE) == "void_needs_line"
    assert books.book(tap(void("o4", own.tid)), OFFLINE)[0].state is AnswerState.APPROVED
    assert books.book(tap(void("o5", known.tid)), ONLINE)[0].state is AnswerState.APPROVED


def test_a_top_up_that_was_spent_cannot_be_taken_back(books: Books) -> None:
    learn(books, snapshot(1, principal=0))
    _, paid_in = books.book(tap(top_up("o1", 500, "cash")), ONLINE)
    books.book(tap(coffee("o2")), ONLINE)
    assert _declined(books, tap(void("o3", paid_in.tid)), ONLINE) == "balance_too_low"


def test_an_answer_is_the_same_after_a_restart(tmp_path: Path) -> None:
    books = stocked_books(tmp_path)
    answer, _ = books.book(tap(coffee("o1")), ONLINE)
    refused, _ = books.book(tap(coffee("o2", 99)), ONLINE)
    close(books)
    again = new_books(tmp_path)
    assert again.recorded("o1") == structs.replace(answer, stages_ms={})
    assert again.recorded("o2") == structs.replace(refused, stages_ms={})
    assert again.recorded("o3") is None
    close(again)


BASKET = sale("o1", (Item("coffee", 1), Item("bun", 2)))
PAID_IN = top_up("o1", 700, "cash")
TAKEN_BACK = void("o1", bytes(16))


@pytest.mark.parametrize(
    ("order", "others"),
    [
        (
            BASKET,
            (
                sale("o1", (Item("coffee", 2), Item("bun", 2))),
                sale("o1", (Item("bun", 1), Item("coffee", 2))),
                sale("o1", (Item("coffee", 1),)),
                PAID_IN,
                TAKEN_BACK,
            ),
        ),
        (PAID_IN, (top_up("o1", 701, "cash"), top_up("o1", 700, "wechat"), BASKET)),
        (TAKEN_BACK, (void("o1", bytes(15) + b"1"), PAID_IN)),  # declined: the record says nothing
    ],
    ids=["sale", "top_up", "void"],
)
def test_an_order_id_names_one_order(tmp_path: Path, order: Order, others: Sequence[Order]) -> None:
    books = stocked_books(tmp_path)
    assert books.answered(order) is None
    answer = structs.replace(books.book(tap(order), ONLINE)[0], stages_ms={})
    close(books)
    again = new_books(tmp_path)
    assert again.answered(order) == again.recorded("o1") == answer
    for other in others:
        with pytest.raises(OrderReused, match="o1"):
            again.answered(other)
    close(again)


def test_an_order_that_no_record_can_hold_is_remembered_too(books: Books) -> None:
    books.arm(wordy := _wordy())
    items = tuple(Item(product.sku, 1) for product in wordy.bundle.products)
    books.book(tap(sale("o1", items)), ONLINE)
    assert books.answered(sale("o1", items)) is not None
    with pytest.raises(OrderReused):
        books.answered(sale("o1", items[1:]))


@pytest.mark.parametrize(
    "make", [lambda: tap(coffee("o1")), lambda: tap(None), lambda: tap(coffee("o1", 99))]
)
def test_a_tap_is_one_record(books: Books, make: Callable[[], Book]) -> None:
    books.switch_bundle()
    before = books.journal.head.seq
    books.book(make(), ONLINE)
    assert books.journal.head.seq == before + 1


def _wordy(rules: int = 4) -> Published:
    """A bundle whose fullest basket is larger than a record may be."""
    names = [f"product-with-a-long-stock-number-{number:04}" for number in range(50)]
    return bundle.issue(
        Bundle(
            tenant=AT.tenant,
            number=2,
            activate_ms=0,
            currency="CNY",
            products=tuple(Product(name, 100, "商品", "Product") for name in names),
            rules=tuple(
                Rule(
                    f"a-rule-that-says-what-it-does-{number}", "percent_off", {"basis_points": 100}
                )
                for number in range(rules)
            ),
        ),
        RULES_KEY,
    )


def test_a_sale_that_no_record_can_hold_is_declined_and_the_next_goes_on(books: Books) -> None:
    books.arm(wordy := _wordy())
    items = tuple(Item(product.sku, 1) for product in wordy.bundle.products)
    assert _declined(books, tap(sale("o1", items)), ONLINE) == "sale_too_large"
    assert books.recorded("o1") is not None
    assert books.book(tap(sale("o2", items[:1])), ONLINE)[0].state is AnswerState.APPROVED
    assert books.reopen() is None, "nothing of it is left behind"


def test_a_card_that_says_what_cannot_be_written_is_declined(books: Books) -> None:
    odd = structs.replace(card(), proof=bytes(300))
    answer, record = books.book(Book(coffee("o1"), odd, ""), ONLINE)
    assert (answer.code, record.card) == ("unrecordable", card())


def test_a_record_that_reached_the_disk_has_happened_however_often_it_is_asked(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk takes the record, reports an error, and fails again while it is read."""
    books.switch_bundle()
    run = books.journal._run  # noqa: SLF001 - where the disk would say no

    def fail_after(start: str) -> None:
        def failing(statement: str, values: Sequence[object]) -> list[object]:
            rows = run(statement, values)
            if statement.startswith(start):
                monkeypatch.undo()
                books.journal.close()
                raise JournalRefused("the disk said so")
            return rows

        monkeypatch.setattr(books.journal, "_run", failing)

    fail_after("INSERT INTO records")
    with pytest.raises(JournalRefused):
        books.book(tap(coffee("o1")), ONLINE)
    fail_after("SELECT id, data")
    with pytest.raises(JournalRefused):
        books.reopen()
    answer = books.reopen()
    assert answer is not None
    assert (answer.order, answer.state) == ("o1", AnswerState.APPROVED)
    assert books.reopen() is None
