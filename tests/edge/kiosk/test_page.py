"""The page in a real Chromium: every state in both languages on three panels, and what it does."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest
from playwright.sync_api import Dialog, Page, expect

from edge import order as orders
from edge.kiosk.view import KIOSK_ORDER
from edge.order import AnswerState, Item
from edge.tap_flow import Phase
from protocol.rules.bundle import Product
from tests.edge.counter import SmallCounter
from tests.edge.kiosk.legibility import illegible
from tests.services.browser import accessibility_report, screenshot, shows_chinese
from tests.services.server import Server

pytestmark = pytest.mark.browser

PANELS = {"landscape": (1280, 800), "portrait": (800, 1280), "short": (1024, 600)}
LANGUAGES = {"zh": "zh-CN", "en": "en"}
GOODS = (Item("coffee", 2), Item("cake", 1), Item("green-tea", 1))


def own(counter: SmallCounter) -> str:
    """An order id as the page makes them, and a new one at each call."""
    return f"{KIOSK_ORDER}{UUID(int=len(counter.placed))}"


def sale(counter: SmallCounter, order: str = "") -> None:
    counter.place(orders.sale(order or own(counter), GOODS))


def top_up(counter: SmallCounter) -> None:
    counter.place(orders.top_up(own(counter), 10000, "cash"))


def approved(counter: SmallCounter) -> None:
    sale(counter)
    counter.tap(total=9540, earned=95)


def approved_offline(counter: SmallCounter) -> None:
    counter.show(online=False, queue=17)
    approved(counter)


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


DOCUMENTED = {
    "basket-landscape-zh",
    "waiting-landscape-en",
    "approved-landscape-en",
    "declined-landscape-zh",
    "attract-portrait-zh",
    "approved-offline-portrait-en",
}
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
    "topped-up": {"zh": "充值成功", "en": "Topped up"},
    "given-back": {"zh": "已退回", "en": "Given back"},
    "balance": {"zh": "您的余额", "en": "Your balance"},
    "closed": {"zh": "暂时不能刷卡", "en": "No cards just now"},
}
# What the person does on the page itself.
STEPS: dict[str, list[str]] = {
    "basket": [f'[data-key="{sku}"]' for sku in ("coffee", "coffee", "cake", "salad", "hamper")],
    "top-up": ["#open-top-up"],
}
LEAVE = {"basket": "#clear", "top-up": "#close-top-up"}


def open_page(page: Page, server: Server, language: str = "zh") -> None:
    page.goto(server.url)
    expect(page.locator("#shop")).to_be_visible()
    if language == "en":
        page.click("#language")
    expect(page.locator("html")).to_have_attribute("lang", LANGUAGES[language])


def shown(page: Page, text: str) -> None:
    expect(page.locator("main > section:visible")).to_contain_text(text)


def judge(page: Page, name: str) -> None:
    """The state as it is must be legible, and axe must find nothing."""
    page.evaluate("async () => { await document.fonts.ready; }")
    if name in DOCUMENTED:
        screenshot(page, f"kiosk-{name}")
    assert illegible(page) == []
    if "landscape" in name:  # what axe judges does not depend on the panel
        assert accessibility_report(page) == ""


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("panel", PANELS)
def test_every_state_is_legible_and_axe_finds_nothing(
    page: Page, server: Server, counter: SmallCounter, panel: str, language: str
) -> None:
    width, height = PANELS[panel]
    page.set_viewport_size({"width": width, "height": height})
    open_page(page, server, language)
    for name, change in STATES.items():
        counter.reset()
        change(counter)
        revision = counter.screen().revision
        expect(page.locator("body")).to_have_attribute("data-revision", str(revision))
        expect(page.locator("main > section:visible")).to_contain_text(SHOWS[name][language])
        judge(page, f"{name}-{panel}-{language}")
    counter.reset()
    for name, clicks in STEPS.items():
        for target in clicks:
            page.click(target)
        judge(page, f"{name}-{panel}-{language}")
        page.click(LEAVE[name])
    server.stop()
    try:
        expect(page.locator("#moment")).to_be_visible()
        judge(page, f"moment-{panel}-{language}")
    finally:
        server.start()
    expect(page.locator("#moment")).to_be_hidden()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("panel", PANELS)
def test_who_walks_away_is_asked_and_then_forgotten(
    page: Page, server: Server, panel: str, language: str
) -> None:
    width, height = PANELS[panel]
    page.set_viewport_size({"width": width, "height": height})
    page.clock.install()
    open_page(page, server, language)
    page.click('[data-key="coffee"]')
    page.clock.fast_forward(41_000)
    question = page.locator("#still-there")
    expect(question).to_be_visible()
    expect(page.locator("#still-count")).to_contain_text("9")
    expect(page.locator("#basket")).to_be_visible()
    judge(page, f"still-there-{panel}-{language}")
    page.click("#still-here")
    expect(question).to_be_hidden()
    expect(page.locator("#basket")).to_be_visible()
    page.clock.fast_forward(41_000)
    expect(question).to_be_visible()
    page.clock.fast_forward(10_000)
    expect(question).to_be_hidden()
    expect(page.locator("#basket")).to_be_hidden()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")


def test_an_order_that_nobody_pays_is_taken_back(
    page: Page, server: Server, counter: SmallCounter
) -> None:
    page.clock.install()
    open_page(page, server)
    page.click('[data-key="coffee"]')
    page.click("#pay")
    expect(page.locator("#cancel")).to_be_visible()
    page.clock.fast_forward(41_000)
    expect(page.locator("#still-there")).to_be_visible()
    page.clock.fast_forward(10_000)
    expect(page.locator("#invitation")).to_be_visible()
    assert counter.screen().order is None


def test_the_tills_order_is_not_the_pages_to_cancel(
    page: Page, server: Server, counter: SmallCounter
) -> None:
    page.clock.install()
    open_page(page, server)
    sale(counter, "till-1")
    shown(page, "¥106.00")
    expect(page.locator("#cancel")).to_be_hidden()
    page.clock.fast_forward(60_000)
    expect(page.locator("#moment")).to_be_hidden()
    shown(page, "¥106.00")
    expect(page.locator("#still-there")).to_be_hidden()
    assert counter.screen().order is not None


@pytest.mark.parametrize(
    ("selector", "style", "value", "found"),
    [
        (".tile .name", "font-size", "27px", "small text"),
        (".tile .name", "color", "rgb(150, 140, 130)", "contrast"),
        ("#shop h1", "color", "rgb(120, 110, 100)", "contrast"),
        ("#language", "min-height", "60px", "small target"),
        ("#shop h1", "width", "30px", "text runs over"),
        ("#language", "margin-right", "-60px", "cut off"),
        ("header", "translate", "0 120px", "covered"),
        (".tiles", "gap", "4px", "gap 4"),
    ],
)
def test_what_is_illegible_would_be_found(
    page: Page, server: Server, selector: str, style: str, value: str, found: str
) -> None:
    open_page(page, server)
    assert illegible(page) == []
    spoil = "(each, [style, value]) => each.style.setProperty(style, value)"
    page.locator(selector).first.evaluate(spoil, [style, value])
    assert found in " ".join(illegible(page))


def test_chinese_has_glyphs(page: Page, server: Server) -> None:
    open_page(page, server)
    assert shows_chinese(page)


def test_from_choosing_to_a_receipt(page: Page, server: Server, counter: SmallCounter) -> None:
    open_page(page, server, "en")
    page.click('[data-key="coffee"]')
    page.click('[data-key="more coffee"]')
    page.click('[data-key="cake"]')
    page.click('[data-key="less cake"]')
    expect(page.locator("#total")).to_have_text("¥56.00")
    page.click("#pay")
    shown(page, "Tap your card")
    assert counter.placed[0].items == (Item("coffee", 2),)
    counter.tap(total=5040, earned=50)
    for text in ("Thank you!", "¥50.40", "+50", "¥72.00", "1280", "Gold", "t-0001-1-1"):
        shown(page, text)
    page.click("#done")
    expect(page.locator("#invitation")).to_be_visible()


def test_a_declined_basket_can_be_changed(
    page: Page, server: Server, counter: SmallCounter
) -> None:
    open_page(page, server, "en")
    page.click('[data-key="hamper"]')
    page.click("#pay")
    expect(page.locator("#cancel")).to_be_visible()
    counter.tap(state=AnswerState.DECLINED, code="balance_too_low", receipt="")
    shown(page, "Top up first, or choose a little less.")
    page.click("#done")
    expect(page.locator("#basket")).to_contain_text("Gift box")


def test_a_top_up_and_a_cancelled_one(page: Page, server: Server, counter: SmallCounter) -> None:
    open_page(page, server, "en")
    page.click("#open-top-up")
    page.click('[data-key="¥100.00"]')
    shown(page, "Tap to top up")
    page.click("#cancel")
    expect(page.locator("#top-up")).to_be_visible()
    page.click('[data-key="¥50.00"]')
    shown(page, "Tap to top up")
    counter.tap()
    shown(page, "Topped up")
    assert [order.amount for order in counter.placed] == [10000, 5000]


def test_a_result_leaves_by_itself_unless_one_wants_more_time(
    page: Page, server: Server, counter: SmallCounter
) -> None:
    page.clock.install()
    open_page(page, server)
    counter.tap()
    expect(page.locator("#said")).to_be_visible()
    page.click("#longer")
    page.clock.fast_forward(6_000)
    expect(page.locator("#said")).to_be_visible()
    page.clock.fast_forward(21_000)
    expect(page.locator("#shop")).to_be_visible()


def test_yes_and_no_sound_different_and_once(
    page: Page, server: Server, counter: SmallCounter
) -> None:
    page.add_init_script(
        "window.tones = []; window.OscillatorNode = class extends OscillatorNode {"
        " constructor(context, options) {"
        " super(context, options); tones.push(options.frequency); } };"
    )
    open_page(page, server)
    counter.tap()
    expect(page.locator("#said")).to_have_attribute("data-tone", "yes")
    yes = page.evaluate("tones.splice(0)")
    counter.show(phase=Phase.RESULT, queue=1)  # the same result, seen again
    counter.show(phase=Phase.ATTRACT, answer=None)
    unknown(counter)
    expect(page.locator("#said")).to_have_attribute("data-tone", "no")
    no = page.evaluate("tones.splice(0)")
    assert len(yes) == len(no) == 2
    assert yes == sorted(yes)  # rises
    assert no == sorted(no, reverse=True)  # falls
    assert not set(yes) & set(no)


def test_a_busy_terminal_is_told_in_words(
    page: Page, server: Server, counter: SmallCounter
) -> None:
    open_page(page, server, "en")
    counter.show(products=(*counter.screen().products, Product("ghost", 100, "幽灵", "Ghost")))
    page.click('[data-key="ghost"]')
    with page.expect_request("**/kiosk/order") as request:
        page.route("**/kiosk/order", lambda route: (counter.reset(), route.continue_()))
        page.click("#pay")
    assert request.value.method == "POST"
    expect(page.locator("#notice")).to_contain_text("no longer sold")


def test_keys_alone_are_enough(page: Page, server: Server, counter: SmallCounter) -> None:
    open_page(page, server)
    for target in ('[data-key="coffee"]', "#pay"):
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.locator(f"{target}:focus").count():
                break
        page.keyboard.press("Enter")
    expect(page.locator("#cancel")).to_be_visible()
    expect(page.locator("#said h1")).to_be_focused()
    assert counter.placed[0].items == (Item("coffee", 1),)


def test_the_page_comes_back_with_the_agent(
    page: Page, server: Server, counter: SmallCounter
) -> None:
    open_page(page, server, "en")
    page.click('[data-key="coffee"]')
    page.evaluate("window.same = true")
    server.stop()
    expect(page.locator("#moment")).to_contain_text("One moment")
    server.start()
    expect(page.locator("#basket")).to_contain_text("Coffee")
    counter.show(online=False, queue=4)
    expect(page.locator("#offline")).to_contain_text("4 waiting")
    assert page.evaluate("window.same") is True


def test_names_are_only_ever_text(page: Page, server: Server, counter: SmallCounter) -> None:
    alarms: list[Dialog] = []

    def alarm(dialog: Dialog) -> None:
        alarms.append(dialog)

    page.on("dialog", alarm)
    attack = '<img src=x onerror="alert(1)"><b>'
    counter.show(products=(Product("coffee", 100, attack, f"</span>{attack}"),))
    open_page(page, server)
    expect(page.locator(".tile .name")).to_have_text(attack)
    page.click(".tile")
    expect(page.locator("#basket .name")).to_have_text(attack)
    page.click("#pay")
    shown(page, attack)
    assert page.locator("main img, main b").count() == 0
    assert alarms == []


def test_who_wants_no_motion_gets_none(page: Page, server: Server, counter: SmallCounter) -> None:
    moving = "document.getAnimations().filter((each) => each.playState === 'running').length"
    page.emulate_media(reduced_motion="no-preference")
    sale(counter)
    page.goto(server.url)
    expect(page.locator("#picture svg")).to_be_visible()
    assert page.evaluate(moving) > 0
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(moving) == 0


def test_what_was_painted_is_reported(page: Page, server: Server) -> None:
    with page.expect_response("**/seen") as seen:
        open_page(page, server)
    assert seen.value.status == 204
