"""What a terminal may show, state by state, and a page opened in front of it."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from playwright.sync_api import Page, expect

from edge import order as orders
from edge.kiosk.view import KIOSK_ORDER
from edge.order import AnswerState, Item
from edge.tap_flow import Phase
from tests.edge.counter import SmallCounter
from tests.services.server import Server

LANGUAGES = {"zh": "zh-CN", "en": "en"}
GOODS = (Item("coffee", 2), Item("cake", 1), Item("green-tea", 1))


def own(counter: SmallCounter) -> str:
    """An order id as the page makes them, and a new one at each call."""
    return f"{KIOSK_ORDER}{UUID(int=len(counter.placed))}"


def sale(counter: SmallCounter, order: str = "") -> None:
    counter.place(orders.sale(order or own(counter), GOODS))


def top_up(counter: SmallCounter) -> None:
    counter.place(orders.top_up(own(counter), 10000, "cash"))


def approved(counter: SmallCounter, printer: str = "ready") -> None:
    counter.show(printer=printer)
    sale(counter)
    counter.tap(total=9540, earned=95)


def approved_offline(counter: SmallCounter) -> None:
    counter.show(online=False, queue=17)
    approved(counter, printer="")


def declined(counter: SmallCounter) -> None:
    sale(counter)
    counter.tap(state=AnswerState.DECLINED, code="balance_too_low", receipt="", total=0)


def unknown(counter: SmallCounter) -> None:
    facts = {"balance": None, "points": None, "tier": "", "receipt": ""}
    counter.tap(state=AnswerState.DECLINED, code="card_unknown", **facts)


def topped_up(counter: SmallCounter) -> None:
    top_up(counter)
    counter.tap(balance=17200)


def given_back(counter: SmallCounter) -> None:
    counter.place(orders.void("till-9", bytes(16)))
    counter.tap(total=2800)


def paid_by_card(counter: SmallCounter) -> None:
    sale(counter)
    counter.tap(total=9540, earned=95, card_balance=4060, method="card_purse")


def torn(counter: SmallCounter) -> None:
    sale(counter)
    counter.show(problem="card_torn")


def torn_paid_in(counter: SmallCounter) -> None:
    top_up(counter)
    counter.tap(total=2800, code="card_torn", balance=10000, card_balance=1260)


# What the agent shows. A result stays on the page for a while, so what it may cover comes first.
STATES: dict[str, Callable[[SmallCounter], object]] = {
    "attract": lambda counter: counter.show(),
    "offline": lambda counter: counter.show(online=False, queue=17, problem="card_gone"),
    "waiting": sale,
    "waiting-till": lambda counter: sale(counter, "till-1"),
    "waiting-top-up": top_up,
    "working": lambda counter: counter.show(phase=Phase.WORKING),
    "approved": approved,
    "approved-offline": approved_offline,
    "declined": declined,
    "card-unknown": unknown,
    "paid-by-card": paid_by_card,
    "torn": torn,
    "torn-paid-in": torn_paid_in,
    "topped-up": topped_up,
    "given-back": given_back,
    "balance": lambda counter: counter.tap(),
    "closed": lambda counter: counter.show(closed="terminal_locked"),
}
SHOWS = {
    "attract": {"zh": "您好", "en": "Hello"},
    "offline": {"zh": "您好", "en": "Hello"},
    "waiting": {"zh": "请刷卡", "en": "Tap your card"},
    "waiting-till": {"zh": "请刷卡", "en": "Tap your card"},
    "waiting-top-up": {"zh": "请刷卡充值", "en": "Tap to top up"},
    "working": {"zh": "正在处理", "en": "Just a second"},
    "approved": {"zh": "支付成功", "en": "Thank you!"},
    "approved-offline": {"zh": "已存在本机", "en": "saved here"},
    "declined": {"zh": "没有扣款", "en": "Nothing was charged"},
    "card-unknown": {"zh": "不是我们的会员卡", "en": "do not know this card"},
    "paid-by-card": {"zh": "已从卡内余额支付", "en": "from the money on the card"},
    "torn": {"zh": "请刷卡", "en": "Tap your card"},
    "torn-paid-in": {"zh": "已存入您的账户", "en": "on your account now"},
    "topped-up": {"zh": "充值成功", "en": "Topped up"},
    "given-back": {"zh": "已退回", "en": "Given back"},
    "balance": {"zh": "您的余额", "en": "Your balance"},
    "closed": {"zh": "暂时不能刷卡", "en": "No cards just now"},
}


def open_page(page: Page, server: Server, language: str = "zh") -> None:
    page.goto(server.url)
    expect(page.locator("#shop")).to_be_visible()
    if language == "en":
        page.click("#language")
    expect(page.locator("html")).to_have_attribute("lang", LANGUAGES[language])


def wait_shown(page: Page, revision: int) -> None:
    """Return with the frame in which the page shows this state of the terminal."""
    # A locator would look after 0.1 s, then after 0.25 s more: the states of all panels are many.
    page.wait_for_function("(shown) => document.body.dataset.revision === shown", arg=str(revision))
