"""What stands on receipts, in both languages, and whose are printed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from drivers.printers.document import lay_out
from drivers.printers.escpos import WIDTH_58_MM, columns
from drivers.printers.job import JobEvent, JobState, step
from edge.books import Books
from edge.errors import NoReceipt, OrderUnknown, ReceiptForeign, ReceiptUnasked
from edge.inspection import confirm
from edge.kiosk import texts
from edge.order import TILL_METHODS, Answer, Order, top_up, void
from edge.print_queue import PrintQueue
from edge.receipt import Wording
from edge.receipts import Habits, Receipts
from edge.tap_flow import Book
from protocol.membership.event import CARD_PURSE, STORED_VALUE
from protocol.receipt import proof_text, read_proof
from protocol.record import CardClass
from tests.edge.paper import open_queue
from tests.edge.world import (
    OFFLINE,
    ONLINE,
    START_MS,
    card,
    coffee,
    members,
    snapshot,
    tap,
)

SILVER = 100_000


@pytest.fixture(name="queue")
def _queue(tmp_path: Path) -> Iterator[PrintQueue]:
    queue = open_queue(tmp_path)
    yield queue
    queue.close()


def receipts(
    books: Books, queue: PrintQueue, *, chinese: bool = False, always: bool = False
) -> Receipts:
    said = {key: text.zh if chinese else text.en for key, text in texts.load().items()}
    wording = Wording(said, chinese)
    return Receipts(books, queue, Habits("Harbour", wording, "{} ms".format, lambda: None, always))


def book(books: Books, order: Order, *, online: bool = True) -> Answer:
    answer, _ = books.book(tap(order), ONLINE if online else OFFLINE)
    assert answer.state == "approved"
    return answer


def rows(books: Books, queue: PrintQueue, order: str, *, chinese: bool = False) -> list[str]:
    """The receipt of ``order`` as it stands on paper, each gap as one space."""
    receipts(books, queue, chinese=chinese).ask(order)
    waiting = queue.next()
    assert waiting is not None
    job, receipt = waiting
    queue.keep(step(step(job, JobEvent.STARTED), JobEvent.CONFIRMED))
    lines = lay_out(receipt, WIDTH_58_MM, columns, copy=job.copy)
    return [re.sub(" {2,}", " ", line.text) for line in lines]


def test_a_sale_in_both_languages(books: Books, queue: PrintQueue) -> None:
    answer = book(books, coffee("o1", 3))
    below = ["-" * WIDTH_58_MM, answer.receipt]
    assert rows(books, queue, "o1", chinese=True) == [
        "Harbour",
        "消费小票",
        f"{START_MS} ms",
        "",
        "咖啡 × 3 ¥15.00",
        "合计 ¥15.00",
        "会员余额支付 ¥15.00",
        "",
        "本次积分 +15",
        "积分 15",
        "余额 ¥85.00",
        *below,
    ]
    copy = rows(books, queue, "o1")
    assert (copy[0], copy[2], copy[5:8]) == (
        "补打 COPY 1",
        "Receipt",
        ["Coffee × 3 ¥15.00", "Total ¥15.00", "Member balance ¥15.00"],
    )


def test_a_price_off_and_the_line_being_away_are_shown(books: Books, queue: PrintQueue) -> None:
    books.cache.apply(members([snapshot(qualifying=SILVER)], version=2, base=1))
    books.list_changed()
    book(books, coffee("o1", 2), online=False)
    said = rows(books, queue, "o1", chinese=True)
    assert "离线交易，联网后入账" in said
    assert said[said.index("咖啡 × 2 ¥10.00") :][:3] == [
        "咖啡 × 2 ¥10.00",
        " 优惠 -¥1.00",
        "合计 ¥9.00",
    ]


def test_a_top_up_and_what_takes_back_a_sale(books: Books, queue: PrintQueue) -> None:
    book(books, top_up("o1", 5_000, "wechat"))
    said = rows(books, queue, "o1")
    assert said[1:7] == [
        "Top-up receipt",
        f"{START_MS} ms",
        "",
        "Total ¥50.00",
        "WeChat Pay ¥50.00",
        "",
    ]
    sale = book(books, coffee("o2"))
    book(books, void("o3", bytes.fromhex(sale.tid)))
    said = rows(books, queue, "o3")
    assert said[1] == "Refund receipt"
    assert f"Takes back {sale.receipt}" in said
    assert "Total ¥5.00" in said


def test_the_journal_confirms_what_a_receipt_names(
    books: Books, queue: PrintQueue, tmp_path: Path
) -> None:
    answer = book(books, coffee("o1"))
    book(books, coffee("o2"))
    receipts(books, queue).ask("o1")
    waiting = queue.next()
    assert waiting is not None
    journal, code = tmp_path / "journal.db", waiting[1].proof
    assert confirm(journal, code) == f"{answer.receipt}: sale of 500 stands in the journal"
    genuine = read_proof(code)
    forged = ({"hash": bytes(32)}, {"seq": genuine.seq + 1}, {"terminal": "t-0002"})
    for change in forged:
        with pytest.raises(ReceiptForeign):
            confirm(journal, proof_text(structs.replace(genuine, **change)))
    with pytest.raises(ReceiptForeign):
        confirm(journal, "https://example.com")


def test_every_way_to_pay_has_its_name() -> None:
    said = texts.load()
    for method in (*TILL_METHODS, STORED_VALUE, CARD_PURSE):
        assert f"tender.{method}" in said


def test_only_what_was_approved_has_a_receipt(books: Books, queue: PrintQueue) -> None:
    printed = receipts(books, queue)
    with pytest.raises(OrderUnknown):
        printed.ask("o1")
    uid = Book(coffee("o1"), card(1, CardClass.UID), "")
    declined, _ = books.book(uid, ONLINE)
    with pytest.raises(NoReceipt):
        printed.ask("o1")
    receipts(books, queue, always=True).settled(declined)
    assert queue.next() is None
    book(books, coffee("o2"))
    with pytest.raises(ReceiptUnasked):
        printed.known("o2")


def test_where_each_is_printed_it_is_printed_once(books: Books, queue: PrintQueue) -> None:
    answer = book(books, coffee("o1"))
    receipts(books, queue).settled(answer)
    assert queue.next() is None
    always = receipts(books, queue, always=True)
    always.settled(answer)
    waiting = queue.next()
    assert waiting is not None
    queue.keep(step(step(waiting[0], JobEvent.STARTED), JobEvent.CONFIRMED))
    always.settled(answer)
    assert queue.next() is None
    assert always.known("o1").state is JobState.PRINTED


def test_an_order_stands_whatever_its_receipt_does(books: Books, queue: PrintQueue) -> None:
    answer = book(books, coffee("o1"))
    queue.close()
    receipts(books, queue, always=True).settled(answer)
