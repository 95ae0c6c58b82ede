"""Getting in and out: with a token, to the page that was asked for, and from our pages only."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Page, expect

from cloud.http.identity import ATTEMPTS_MAX, SESSION_COOKIE, Role
from tests.cloud.console.conftest import Console

Clients = Callable[[Role | None], httpx.Client]


@pytest.mark.browser
def test_a_deep_link_leads_through_the_login_to_the_page(console: Console, page: Page) -> None:
    page.goto(f"{console.url}/console/records?terminal=t-0002")
    page.get_by_label("Access token").fill("tl_wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("not_authenticated")
    page.get_by_label("Access token").fill(f" {console.front.tokens[Role.READER]} ")
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(f"{console.url}/console/records?terminal=t-0002")
    (cookie,) = [c for c in page.context.cookies() if c.get("name") == SESSION_COOKIE]
    assert (cookie.get("httpOnly"), cookie.get("sameSite")) == (True, "Strict")
    assert cookie.get("path") == "/console"
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in to the console")
    page.goto(f"{console.url}/console")
    expect(page.get_by_label("Access token")).to_be_visible()


@pytest.mark.browser
def test_a_link_in_a_mail_leads_to_the_page(console: Console, page: Page) -> None:
    """A strict cookie is not sent along with another site's link: `localhost` is another site."""
    console.enter(page, Role.READER)
    target = f"{console.url}/console/records?terminal=t-0002"
    elsewhere = console.url.replace("127.0.0.1", "localhost")
    tab = page.context.new_page()  # not the watched one: it has to visit another host
    letter = f"<a href='{target}'>see</a>"
    tab.route(
        f"{elsewhere}/mail", lambda route: route.fulfill(body=letter, content_type="text/html")
    )
    tab.goto(f"{elsewhere}/mail")
    tab.get_by_text("see").click()
    expect(tab.get_by_role("heading", level=1)).to_have_text("Records")
    expect(tab).to_have_url(target)


@pytest.mark.browser
def test_language_and_colours_stay_as_chosen(console: Console, page: Page) -> None:
    console.open(page, "/console/members?search=lin")
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("会员")
    expect(page).to_have_url(f"{console.url}/console/members?search=lin")
    page.get_by_role("button", name="深色").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.goto(f"{console.url}/console/terminals")
    expect(page.get_by_role("heading", level=1)).to_have_text("终端")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(15, 20, 25)"


@pytest.mark.browser
def test_a_session_that_ends_asks_for_a_new_login(console: Console, page: Page) -> None:
    page.clock.install()
    console.open(page, "/console/terminals")
    page.context.clear_cookies()
    page.clock.fast_forward(5_000)  # when the page asks again
    expect(page.get_by_label("Access token")).to_be_visible(timeout=15_000)


@pytest.mark.parametrize(
    "path",
    [
        *("/console", "/console/terminals", "/console/terminals/t-0001", "/console/members"),
        *("/console/members/m-000001", "/console/records", "/console/records/t-0001/1/1"),
        *("/console/records/t-0001/1/1/data", "/console/quarantine", "/console/bundles"),
        *(
            "/console/bundles/1",
            "/console/bundles/new",
            "/console/publish",
            "/console/terminals/t-0001/revoke",
        ),
        *("/console/terminals.csv", "/console/members.csv", "/console/records.csv"),
        *("/console/terminals/t-0001/lock", "/console/members/m-000001/statement.csv"),
    ],
)
def test_nothing_is_shown_without_a_session(client: Clients, path: str) -> None:
    for forged in (None, "", "x", "é"):
        headers = {} if forged is None else {b"Cookie": f"{SESSION_COOKIE}={forged}".encode()}
        answer = client(None).get(path, headers=headers)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/console/login?next=%2Fconsole")


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/console/login", {"token": "x"}),
        ("/console/logout", {}),
        ("/console/preferences", {"theme": "dark"}),
        ("/console/terminals/t-0001/commands", {"verb": "lock"}),
        ("/console/terminals/t-0001/revoke", {}),
        (f"/console/cards/{'00' * 16}/state", {"state": "frozen"}),
        ("/console/publish", {"text": "{}"}),
    ],
)
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
    ],
    ids=str,
)
def test_another_sites_form_does_nothing(
    client: Clients, shown: Console, path: str, form: dict[str, str], headers: dict[str, str]
) -> None:
    before = list(shown.front.line.said)
    answer = client(Role.ADMIN).post(path, data=form, headers=headers)
    assert answer.status_code == 403
    assert "cross_site" in answer.text
    assert "set-cookie" not in answer.headers
    assert shown.front.line.said == before


@pytest.mark.parametrize(
    "wanted",
    [
        *("//elsewhere.example", "https://elsewhere.example/console", "/v1/members"),
        *("/\\elsewhere.example", "javascript:alert(1)", "/console//../../x\r\nX: y", ""),
    ],
)
def test_a_login_leads_nowhere_else(console: Console, wanted: str) -> None:
    with console.client(None) as client:
        form = {"token": console.front.tokens[Role.READER], "next": wanted}
        answer = client.post("/console/login", data=form)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/console")
    assert "elsewhere" not in answer.headers["location"]
    assert "x" not in answer.headers


def test_guessing_is_slowed(console: Console) -> None:
    with console.client(None) as client:
        answers = [
            client.post("/console/login", data={"token": "tl_guess"}).status_code
            for _ in range(ATTEMPTS_MAX + 1)
        ]
    assert answers == [401] * ATTEMPTS_MAX + [429]


def test_the_language_follows_the_browser(client: Clients) -> None:
    for accepted, language in (
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("zh-Hant-TW", "zh-CN"),
        ("de,en;q=0.5", "en"),
        ("fr", "en"),
        ("", "en"),
    ):
        answer = client(None).get("/console/login", headers={"Accept-Language": accepted})
        assert answer.headers["content-language"] == language, accepted
