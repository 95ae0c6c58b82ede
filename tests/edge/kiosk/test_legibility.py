"""Every state of the page in a real Chromium, in both languages, on every panel."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.edge.counter import SmallCounter
from tests.edge.kiosk.legibility import illegible
from tests.edge.kiosk.states import LANGUAGES, SHOWS, STATES, open_page, wait_shown
from tests.services.browser import accessibility_report, screenshot, shows_chinese
from tests.services.server import Server

pytestmark = pytest.mark.browser

PANELS = {
    "landscape": (1280, 800),
    "portrait": (800, 1280),
    "short": (1024, 600),
    "narrow": (600, 1024),
    "small": (800, 480),
    "phone": (400, 800),
}
DOCUMENTED = {
    "basket-landscape-zh",
    "waiting-landscape-en",
    "approved-landscape-en",
    "declined-landscape-zh",
    "attract-portrait-zh",
    "approved-offline-portrait-en",
}
# What the person does on the page itself.
STEPS: dict[str, list[str]] = {
    "basket": [f'[data-key="{sku}"]' for sku in ("coffee", "coffee", "cake", "salad", "hamper")],
    "top-up": ["#open-top-up"],
}
LEAVE = {"basket": "#clear", "top-up": "#close-top-up"}


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
        wait_shown(page, counter.screen().revision)
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


def visible(page: Page, selector: str) -> int:
    """How many of ``selector`` are seen whole: neither off the panel nor scrolled out."""
    script = """(all) => all.filter((each) => {
        const box = each.getBoundingClientRect();
        const list = each.closest("ul")?.getBoundingClientRect() ?? box;
        return box.width && box.top >= Math.max(list.top, 0) - 1
            && box.bottom <= Math.min(list.bottom, innerHeight) + 1;
    }).length"""
    return int(page.locator(selector).evaluate_all(script))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("panel", ["narrow", "small", "phone"])
def test_a_small_panel_still_shows_goods_basket_and_top_up(
    page: Page, server: Server, panel: str, language: str
) -> None:
    width, height = PANELS[panel]
    page.set_viewport_size({"width": width, "height": height})
    open_page(page, server, language)
    assert visible(page, ".tile") >= 4
    assert visible(page, "#open-top-up") == 1
    if panel != "small":
        expect(page.locator("#invitation .picture")).to_be_hidden()
    for target in STEPS["basket"]:
        page.click(target)
    assert visible(page, ".lines li") >= 2
    assert page.locator("#shop h1").evaluate("(title) => title.getClientRects().length") == 1
    tops = page.locator(".tile").evaluate_all("(all) => all.map((each) => each.offsetLeft)")
    assert len(set(tops)) >= 2, "one column"


def test_chinese_has_glyphs(page: Page, server: Server) -> None:
    open_page(page, server)
    assert shows_chinese(page)
