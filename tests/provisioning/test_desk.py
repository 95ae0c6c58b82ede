"""The card desk in a real Chromium, and who may tap there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count

import httpx
import pytest
from playwright.sync_api import Page, expect

from provisioning.demo.desk import create_desk
from provisioning.errors import NoCard
from tests.services.browser import accessibility_report, screenshot, shows_chinese
from tests.services.server import Server

CARDS = {
    "ann": "m-0001",
    "bo": "m-0002",
    "chen": "m-0003",
    "dee": "m-0004",
    "<b>evil</b>": "m-0005",
    "stranger": "",
}
TERMINALS = {f"t-000{number}": f"http://127.0.0.1:810{number}/" for number in (1, 2, 3)}


class Taps(list[tuple[str, str]]):
    """What was held where; the stranger's card is dropped on the way."""

    def __call__(self, card: str, terminal: str) -> None:
        if card == "stranger":
            raise NoCard
        self.append((card, terminal))


def codes() -> Iterator[str]:
    """What a phone shows, a new one each time."""
    return (f"CODE {number}" for number in count(1))


@pytest.fixture
def taps() -> Taps:
    return Taps()


@pytest.fixture
def url(taps: Taps) -> Iterator[str]:
    with Server(create_desk(CARDS, TERMINALS, taps, {"dee": codes().__next__})) as server:
        yield server.url


@pytest.mark.browser
def test_a_click_holds_the_card_to_the_chosen_terminal(page: Page, url: str, taps: Taps) -> None:
    page.goto(url)
    expect(page.locator(".card")).to_have_count(len(CARDS))
    assert accessibility_report(page) == ""
    assert shows_chinese(page)
    screenshot(page, "card-desk")
    page.click(".card:has-text('bo')")
    expect(page.locator("#status")).to_contain_text("bo → t-0001：终端已作答")
    page.click("text=t-0003")
    page.click(".card:has-text('chen')")
    expect(page.locator("#status")).to_contain_text("see its screen")
    assert taps == [("bo", "t-0001"), ("chen", "t-0003")]
    assert accessibility_report(page) == ""


@pytest.mark.browser
def test_no_card_covers_what_is_said(page: Page, url: str) -> None:
    page.set_viewport_size({"width": 700, "height": 420})
    page.goto(url)
    page.click(".card:has-text('ann')")
    status = page.locator("#status")
    expect(status).to_contain_text("see its screen")
    below = """(bar) => {
        const box = bar.getBoundingClientRect();
        const card = document.querySelector(".card .name").getBoundingClientRect();
        scrollBy(0, card.top - box.top);
        const at = [card.left + 4, box.top + 8];
        return document.elementsFromPoint(...at).map((each) => each.id || each.className);
    }"""
    stack = status.evaluate(below)
    assert stack[0] == "status"
    assert "card" in stack, "no card is there to cover it"
    assert accessibility_report(page) == ""


@pytest.mark.browser
def test_what_went_wrong_is_said(page: Page, url: str) -> None:
    page.goto(url)
    page.click(".card:has-text('stranger')")
    expect(page.locator("#status.wrong")).to_contain_text("no_card: No card was presented.")
    assert accessibility_report(page) == ""


@pytest.mark.browser
def test_names_are_only_ever_text(page: Page, url: str, taps: Taps) -> None:
    page.goto(url)
    page.click(".card:has-text('evil')")
    expect(page.locator("#status")).to_contain_text("<b>evil</b> → t-0001：")
    assert page.locator(".card b").count() == 0
    assert taps == [("<b>evil</b>", "t-0001")]


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "http://127.0.0.1"])
def test_another_page_cannot_tap(url: str, taps: Taps, origin: str | None) -> None:
    headers = {"Origin": origin} if origin else {}
    body = {"card": "ann", "terminal": "t-0001"}
    response = httpx.post(f"{url}/tap", json=body, headers=headers, trust_env=False)
    assert (response.status_code, response.json()["code"]) == (403, "foreign_page")
    assert taps == []


def test_another_name_reads_nothing(url: str) -> None:
    headers = {"Host": "evil.example"}
    assert httpx.get(f"{url}/desk.json", headers=headers, trust_env=False).status_code == 400


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"card": "zoe", "terminal": "t-0001"}, 404),
        ({"card": "ann", "terminal": "t-0009"}, 404),
        ({"card": "ann"}, 422),
        ({"card": "ann", "terminal": "t-0001", "amount": 1}, 422),
    ],
)
def test_what_is_not_there_cannot_be_tapped(
    url: str, taps: Taps, body: dict[str, object], status: int
) -> None:
    response = httpx.post(f"{url}/tap", json=body, headers={"Origin": url}, trust_env=False)
    assert response.status_code == status
    assert taps == []


def test_only_the_pages_own_script_may_run(url: str) -> None:
    policy = httpx.get(url, trust_env=False).headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy


@pytest.mark.browser
def test_a_phone_shows_a_new_code_each_half_minute(page: Page, url: str) -> None:
    page.clock.install(time=1_790_000_010)  # a half minute begins
    page.goto(url)
    expect(page.get_by_role("link", name="手机码 code")).to_have_count(1)
    page.goto(f"{url}/phones/dee")
    expect(page.get_by_role("heading")).to_have_text("dee")
    picture = page.get_by_role("img", name="Member code")
    expect(picture).to_have_js_property("complete", value=True)
    expect(picture).to_have_attribute("src", re.compile("^blob:"))
    assert picture.evaluate("image => image.naturalWidth") > 0
    screenshot(page, "phone-code")
    assert accessibility_report(page) == ""
    assert shows_chinese(page)
    before = picture.get_attribute("src")
    page.clock.fast_forward(10_000)
    expect(picture).to_have_attribute("src", str(before))
    page.clock.fast_forward(20_000)
    expect(picture).not_to_have_attribute("src", str(before))


def test_only_phones_have_codes(url: str) -> None:
    first, second = (httpx.get(f"{url}/phones/dee/code.svg", trust_env=False) for _ in range(2))
    assert "<svg" in first.text
    assert first.text != second.text
    assert httpx.get(f"{url}/phones/ann/code.svg", trust_env=False).status_code == 404
    assert httpx.get(f"{url}/phones/ann", trust_env=False).json()["code"] == "no_such_card"
