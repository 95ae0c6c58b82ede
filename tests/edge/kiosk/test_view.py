"""The view of every screen, and that nothing is ever shown in one language alone."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest
from msgspec import structs

import drivers.errors
import edge.decide
import edge.errors
from edge import order as orders
from edge.currency import currency
from edge.kiosk import texts
from edge.kiosk.model import Panel, Said, Tone
from edge.kiosk.server import PAGES
from edge.kiosk.view import view
from edge.order import Answer, AnswerState, Item, Order
from edge.ports import Screen
from edge.tap_flow import Phase
from protocol.errors import BadAmount, ProductError, UnknownProduct
from protocol.record import Line
from tests.edge.counter import START

TEXTS = texts.load()
SALE = orders.sale("kiosk-1", (Item("coffee", 2),))
TOP_UP = orders.top_up("till-2", 5000, "cash")
VOID = orders.void("till-3", bytes(16))
LINES = (Line("coffee", 2, 5600, 5600),)
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def waiting(order: Order) -> Screen:
    return structs.replace(START, phase=Phase.WAITING_CARD, order=order, lines=LINES, total=5600)


def answered(order: Order | None, **facts: object) -> Screen:
    answer = Answer(
        order=order.id if order else "",
        state=AnswerState.APPROVED,
        kind=order.kind if order else "",
        tid="ab",
    )
    return structs.replace(START, phase=Phase.RESULT, answer=structs.replace(answer, **facts))


def declined(code: str, order: Order | None = SALE) -> Panel:
    return view(answered(order, state=AnswerState.DECLINED, code=code), TEXTS).panel


def reasons() -> list[str]:
    """Every code that may reach a person: of decisions, cards, readers and orders."""
    source = Path(edge.decide.__file__).read_text()
    codes = set(re.findall(r'_Declined\("(\w+)"\)', source))
    codes |= set(re.findall(r'^[A-Z_]+ = "(\w+)"$', source, re.MULTILINE))
    codes |= set(re.findall(r'CardState\.[A-Z]+: "(\w+)"', source))
    codes -= {edge.decide.BALANCE_SHOWN}
    errors = [value for value in vars(drivers.errors).values() if isinstance(value, type)]
    codes |= {each.code for each in errors if issubclass(each, ProductError)}
    # The first two are never raised; the last is said to who personalises cards.
    codes -= {ProductError.code, drivers.errors.DriverError.code, drivers.errors.CardIssued.code}
    placing = (
        edge.errors.OrderBusy,
        edge.errors.OrderReused,
        edge.errors.BadOrder,
        edge.errors.CannotAccept,
    )
    codes |= {each.code for each in (*placing, UnknownProduct, BadAmount)}
    return sorted(codes | {"journal_refused", "cancelled", "timed_out"})


def test_both_catalogues_hold_the_same_texts() -> None:
    chinese = texts.read_catalogue(texts.LOCALE / "zh_CN.po")
    english = texts.read_catalogue(texts.LOCALE / "en.po")
    assert chinese.keys() == english.keys()
    assert len(chinese) > 80


@pytest.mark.parametrize("key", sorted(TEXTS))
def test_a_text_is_in_both_languages_with_the_same_places(key: str) -> None:
    said = TEXTS[key]
    assert said.en
    assert not CHINESE.search(said.en) or key == "page.language"  # names the other language
    assert CHINESE.search(said.zh) or key in ("page.language", "fact.quantity")
    places = [
        {name for _, name, _, _ in Formatter().parse(text) if name} for text in (said.zh, said.en)
    ]
    assert places[0] == places[1]


def test_the_page_asks_for_texts_that_exist() -> None:
    sources = "".join(
        path.read_text() for path in PAGES.iterdir() if path.suffix in (".html", ".js")
    )
    asked = set(re.findall(r'(?:data-text|data-label)="([\w.]+)"', sources))
    asked |= set(re.findall(r'(?:label\(|texts\[)"([\w.]+)"', sources))
    of_page = {key for key in TEXTS if key.startswith("page.")}
    assert asked >= of_page
    assert asked <= TEXTS.keys()


@pytest.mark.parametrize("code", reasons())
def test_every_reason_has_plain_words_and_advice(code: str) -> None:
    panel = declined(code)
    assert panel.tone is Tone.NO
    assert panel.text == TEXTS[f"reason.{code}"]
    assert panel.todo == TEXTS[f"todo.{code}"]
    assert view(structs.replace(START, problem=code), TEXTS).notice is not None


@pytest.mark.parametrize(
    ("printer", "receipts", "state", "order"),
    [
        ("ready", True, AnswerState.APPROVED, SALE.id),
        ("ready", False, AnswerState.APPROVED, ""),
        ("ready", True, AnswerState.DECLINED, ""),
        ("paper", True, AnswerState.APPROVED, ""),
        ("", True, AnswerState.APPROVED, ""),
    ],
)
def test_a_receipt_is_offered_where_it_would_come_out(
    printer: str, state: AnswerState, order: str, *, receipts: bool
) -> None:
    screen = structs.replace(answered(SALE, receipt="t-1", state=state), printer=printer)
    assert view(screen, TEXTS, receipts=receipts).receipt == order


def test_a_reason_without_words_is_told_by_its_code() -> None:
    panel = declined("never_heard_of")
    assert panel.text == TEXTS["reason.other"]
    assert panel.rows[-1].value == Said("never_heard_of", "never_heard_of")


@pytest.mark.parametrize(
    ("screen", "picture", "title"),
    [
        (START, "tap", "title.attract"),
        (waiting(SALE), "tap", "title.sale"),
        (waiting(TOP_UP), "tap", "title.top_up"),
        (waiting(VOID), "tap", "title.void"),
        (structs.replace(START, phase=Phase.WORKING), "working", "title.working"),
        (answered(SALE, total=5600), "sale", "title.approved_sale"),
        (answered(TOP_UP, total=5000), "top_up", "title.approved_top_up"),
        (answered(VOID, total=5600), "void", "title.approved_void"),
        (answered(None, code="balance_shown", balance=5), "balance", "title.balance"),
        (structs.replace(START, phase=Phase.CANNOT_ACCEPT), "closed", "title.cannot_accept"),
        (structs.replace(START, closed="no_prices"), "closed", "title.cannot_accept"),
    ],
)
def test_every_phase_has_its_picture_and_title(screen: Screen, picture: str, title: str) -> None:
    panel = view(screen, TEXTS).panel
    assert (panel.picture, panel.title) == (picture, TEXTS[title])


def test_only_the_pages_own_order_leads_to_a_top_up() -> None:
    assert declined("balance_too_low").top_up
    assert not declined("card_lost").top_up
    assert not declined("balance_too_low", VOID).top_up


def test_a_refused_order_says_that_nothing_was_charged() -> None:
    assert declined("card_lost").note == TEXTS["text.kept"]
    assert declined("card_lost", None).note is None


def test_a_result_says_what_was_paid_and_what_is_left() -> None:
    facts = {"total": 5600, "earned": 56, "balance": 4400, "points": 99, "tier": "gold"}
    shown = view(answered(SALE, receipt="t-0001-1-9", **facts), TEXTS)
    assert shown.panel.amount == "¥56.00"
    assert [row.value.en for row in shown.panel.rows] == [
        "+56",
        "¥44.00",
        "99",
        "Gold",
        "t-0001-1-9",
    ]
    assert [row.value.zh for row in shown.panel.rows][3] == "金卡"
    assert shown.news == "ab"


def test_a_balance_stands_large_and_once() -> None:
    panel = view(answered(None, code="balance_shown", balance=-250, points=3), TEXTS).panel
    assert panel.amount == "−¥2.50"
    assert [row.label for row in panel.rows] == [TEXTS["fact.points"]]


def test_what_was_decided_offline_says_so() -> None:
    assert view(answered(SALE, offline=True), TEXTS).panel.note == TEXTS["text.saved_offline"]
    assert view(answered(SALE), TEXTS).panel.note is None


def test_the_badge_is_honest() -> None:
    assert view(START, TEXTS).offline is None
    offline = view(structs.replace(START, online=False, queue=12), TEXTS).offline
    assert offline is not None
    assert offline.en == "Offline – your points are safe, 12 waiting"
    assert "12" in offline.zh


def test_an_order_lists_its_goods_by_name_and_its_price() -> None:
    panel = view(waiting(SALE), TEXTS).panel
    assert panel.amount == "¥56.00"
    assert panel.rows[0].label == Said("拿铁咖啡 × 2", "Coffee × 2")
    assert panel.rows[0].value.en == "¥56.00"
    assert view(waiting(TOP_UP), TEXTS).panel.amount == "¥50.00"


def test_only_the_pages_own_order_may_be_cancelled_there() -> None:
    assert view(waiting(SALE), TEXTS).own
    assert not view(waiting(TOP_UP), TEXTS).own
    assert not view(answered(SALE), TEXTS).own


def test_a_closed_terminal_says_why_and_still_shows_a_result() -> None:
    panel = view(structs.replace(START, closed="terminal_locked"), TEXTS).panel
    assert panel.text == TEXTS["reason.terminal_locked"]
    assert panel.rows[0].value.en == "terminal_locked"
    assert view(structs.replace(answered(SALE), closed="terminal_locked"), TEXTS).phase == "result"


def test_the_shop_is_the_bundle_in_force() -> None:
    shop = view(START, TEXTS, top_ups=(5000,)).shop
    assert shop.tiles[0].name == Said("拿铁咖啡", "Coffee")
    assert (shop.tiles[0].price, shop.tiles[0].shown) == (2800, "¥28.00")
    assert [top_up.shown for top_up in shop.top_ups] == ["¥50.00"]
    assert view(START, TEXTS).shop.top_ups == ()


@pytest.mark.parametrize(
    ("code", "amount", "shown"),
    [
        ("CNY", 5, "¥0.05"),
        ("CNY", -123456789, "−¥1,234,567.89"),
        ("JPY", 500, "¥500"),
        ("THB", 1250, "THB 12.50"),
        ("", 100, "1.00"),
    ],
)
def test_amounts_are_written_by_currency(code: str, amount: int, shown: str) -> None:
    assert currency(code).show(amount) == shown
