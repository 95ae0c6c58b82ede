"""What the page does in a real Chromium: from choosing to a receipt, and when things go wrong."""

from __future__ import annotations

import pytest
from playwright.sync_api import Dialog, Page, expect

from edge.order import AnswerState, Item
from edge.tap_flow import Phase
from protocol.rules.bundle import Product
from tests.edge.counter import SmallCounter
from tests.edge.kiosk.states import approved, open_page, sale, unknown
from tests.services.server import Server

pytestmark = pytest.mark.browser


def shown(page: Page, text: str) -> None:
    expect(page.locator("main > section:visible")).to_contain_text(text)


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


def test_a_receipt_is_printed_once_for_a_touch(
    page: Page, server: Server, counter: SmallCounter
) -> None:
    open_page(page, server, "en")
    approved(counter, printer="lost")
    shown(page, "Thank you!")
    expect(page.locator("#receipt")).to_be_hidden()
    page.click("#done")
    approved(counter)
    page.click("#receipt")
    expect(page.locator("#receipt")).to_have_text("Printing")
    expect(page.locator("#receipt")).to_be_disabled()
    order = counter.placed[-1].id
    assert counter.receipt(order).copy == 0
    counter.show(printer="lost")
    sale(counter)
    counter.tap()
    expect(page.locator("#receipt")).to_be_hidden()


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


def test_who_has_too_little_tops_up_and_goes_on(
    page: Page, server: Server, counter: SmallCounter
) -> None:
    open_page(page, server, "en")
    page.click('[data-key="hamper"]')
    expect(page.locator("#basket-top-up")).to_be_hidden()
    for way in ("#said-top-up", "#basket-top-up"):
        page.click("#pay")
        expect(page.locator("#cancel")).to_be_visible()
        counter.tap(state=AnswerState.DECLINED, code="balance_too_low", receipt="", kind="")
        expect(page.locator("#said-top-up")).to_be_visible()
        if way == "#basket-top-up":
            page.click("#done")
        page.click(way)
        page.click('[data-key="¥500.00"]')
        shown(page, "Tap to top up")
        counter.tap(balance=50000)
        shown(page, "Topped up")
        page.click("#done")
        expect(page.locator("#basket")).to_contain_text("Gift box")
        expect(page.locator("#basket-top-up")).to_be_hidden()
    page.click("#pay")
    shown(page, "Tap your card")
    assert [order.amount for order in counter.placed] == [0, 50000, 0, 50000, 0]


def test_the_page_names_its_terminal(page: Page, server: Server) -> None:
    open_page(page, server)
    expect(page).to_have_title("会员自助 · t-0001")
    page.click("#language")
    expect(page).to_have_title("Member kiosk · t-0001")
    expect(page.locator("#terminal")).to_have_text("t-0001")


def test_large_amounts_have_their_thousands(
    page: Page, server: Server, counter: SmallCounter
) -> None:
    counter.show(products=(Product("feast", 900_000, "宴席", "Feast"),))
    open_page(page, server)
    expect(page.locator(".tile .price")).to_have_text("¥9,000.00")
    page.click(".tile")
    expect(page.locator("#total")).to_have_text("¥9,000.00")


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


def test_what_the_terminal_refuses_is_told_in_words(
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


def test_the_tills_order_is_not_the_pages_to_cancel_and_ends_its_choice(
    page: Page, server: Server, counter: SmallCounter
) -> None:
    page.clock.install()
    open_page(page, server)
    page.click('[data-key="coffee"]')
    sale(counter, "till-1")
    shown(page, "¥106.00")
    expect(page.locator("#cancel")).to_be_hidden()
    page.clock.fast_forward(60_000)
    expect(page.locator("#moment")).to_be_hidden()
    shown(page, "¥106.00")
    expect(page.locator("#still-there")).to_be_hidden()
    assert counter.screen().order is not None
    counter.tap()
    page.click("#done")
    expect(page.locator("#invitation")).to_be_visible()
