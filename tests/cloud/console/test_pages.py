"""Every page of the console, in both languages and both sets of colours."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from cloud.console.texts import Language
from cloud.http.identity import Role
from tests.cloud.console.conftest import Console, choose
from tests.services.browser import accessibility_report, screenshot, shows_chinese

pytestmark = pytest.mark.browser

# Name of the page -> address, status, heading in English and Chinese.
PAGES: dict[str, tuple[str, int, str, str]] = {
    "overview": ("/console", 200, "Overview", "总览"),
    "terminals": ("/console/terminals", 200, "Terminals", "终端"),
    "terminal": ("/console/terminals/t-0002", 200, "t-0002 Online", "t-0002 在线"),
    "revoke": ("/console/terminals/t-0001/revoke", 200, "Revoke t-0001", "吊销 t-0001"),
    "lock": ("/console/terminals/t-0001/lock", 200, "Lock t-0001", "锁定 t-0001"),
    "members": ("/console/members", 200, "Members", "会员"),
    "member": ("/console/members/m-000001", 200, "林美玲", "林美玲"),
    "records": ("/console/records", 200, "Records", "记录"),
    "record": ("/console/records/t-0001/1/3", 200, "Sale t-0001-1-3", "销售 t-0001-1-3"),
    "record-differs": ("/console/records/t-0003/1/7", 200, "Sale", "销售"),
    "bundles": ("/console/bundles", 200, "Prices", "价格"),
    "bundle": ("/console/bundles/2", 200, "Bundle 2 Scheduled", "价格包 2 待生效"),
    "publish": ("/console/publish", 200, "Publish prices", "发布价格"),
    "quarantine": ("/console/quarantine", 200, "Quarantine", "隔离区"),
    "accept": (
        *("/console/quarantine/t-0003/1/8/accept", 200),
        *("Book a record that is kept apart", "将隔离的记录入账"),
    ),
    "unknown-member": ("/console/members/nobody", 404, "No member has this id", "没有此编号的会员"),
    "unknown-bundle": ("/console/bundles/new", 404, "No bundle has this number", "没有此编号"),
    "nothing": ("/console/nothing", 404, "There is nothing", "此地址没有内容"),
}


# Pages that the papers show.
PICTURED = ("overview", "terminals", "member", "record")


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_whole_and_accessible(
    shown: Console, page: Page, name: str, language: Language
) -> None:
    path, status, english, chinese = PAGES[name]
    choose(page, language)
    assert shown.open(page, path) == status
    heading = english if language is Language.ENGLISH else chinese
    expect(page.get_by_role("heading", level=1)).to_contain_text(heading)
    expect(page.locator("html")).to_have_attribute("lang", language.value)
    assert accessibility_report(page) == ""
    if name in PICTURED:
        screenshot(page, f"console-{name}-{language.value}")
    page.emulate_media(color_scheme="dark")
    assert accessibility_report(page) == ""
    assert shows_chinese(page)


@pytest.mark.parametrize("language", Language)
def test_the_login_page_too(shown: Console, page: Page, language: Language) -> None:
    choose(page, language)
    page.goto(f"{shown.url}/console/login")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert accessibility_report(page) == ""
    page.get_by_role("textbox").or_(page.locator("#token")).first.fill("tl_wrong")
    page.locator("button.main").click()
    expect(page.get_by_role("alert")).to_contain_text("not_authenticated")
    expect(page.get_by_role("alert")).not_to_contain_text("Bearer")
    expect(page.get_by_text("tapledger-cloud token create --role operator")).to_be_visible()
    assert accessibility_report(page) == ""


@pytest.mark.parametrize("name", PAGES)
def test_no_page_is_wider_than_a_phone(shown: Console, page: Page, name: str) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    shown.open(page, PAGES[name][0])
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("name", PAGES)
def test_everything_can_be_read_without_scripts(
    shown: Console, browser: Browser, name: str
) -> None:
    with browser.new_context(java_script_enabled=False, locale="en-US") as context:
        tab = context.new_page()
        path, status, heading, _ = PAGES[name]
        assert shown.open(tab, path) == status
        expect(tab.get_by_role("heading", level=1)).to_contain_text(heading)


def test_a_table_that_goes_on_shows_it(shown: Console, page: Page) -> None:
    table = page.locator(".scroll")
    page.set_viewport_size({"width": 1900, "height": 900})
    shown.open(page, "/console/terminals")
    expect(table).not_to_have_class("scroll more")
    page.set_viewport_size({"width": 390, "height": 740})
    expect(table).to_have_class("scroll more")
    table.evaluate("(box) => box.scrollTo(box.scrollWidth, 0)")
    expect(table).to_have_class("scroll")


def test_the_overview_leaves_no_hole(shown: Console, page: Page) -> None:
    page.set_viewport_size({"width": 1920, "height": 1080})
    shown.open(page, "/console")
    rights = page.locator(".panels > .panel").evaluate_all(
        "(all) => all.map((each) => [each.offsetTop, each.offsetLeft + each.offsetWidth])"
    )
    rows = {top: max(right for at, right in rights if at == top) for top, _ in rights}
    assert len(set(rows.values())) == 1
    assert len(rights) > len(rows), "no row has two panels"


@pytest.mark.parametrize("role", Role)
def test_the_navigation_leads_where_the_role_may_go(shown: Console, page: Page, role: Role) -> None:
    shown.open(page, "/console", role)
    links = page.get_by_role("navigation").get_by_role("link")
    addresses = [link.get_attribute("href") for link in links.all()]
    assert len(addresses) == (3 if role is Role.PROVISIONER else 6)
    for address in addresses:
        answer = page.goto(f"{shown.url}{address}")
        assert answer is not None
        assert answer.status == 200
        expect(page.get_by_role("navigation").locator("[aria-current]")).to_have_count(1)
