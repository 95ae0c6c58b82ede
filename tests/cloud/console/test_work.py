"""What an operator does on the pages, and that the pages follow what happens."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import httpx
import pytest
from msgspec import structs
from playwright.sync_api import Browser, Page, expect

import run
from cloud.console.texts import Language
from cloud.fleet import store
from cloud.http.identity import Role
from cloud.ledger.transaction import Ledger
from cloud.members import store as members
from protocol import command
from protocol.command import CommandDone, Verb
from protocol.member_list import CardState
from protocol.record import Card, CardClass, Kind, Tender
from protocol.status import Status
from tests.cloud.console.conftest import Console, choose
from tests.cloud.day import commit
from tests.cloud.front import NOON_MS, contents
from tests.cloud.town import CURRENCY, LEDGER_KEY, card_of, issued_card
from tests.services.server import Server

Clients = Callable[[Role | None], httpx.Client]
CARD = issued_card("m-000001").reference.hex()
# Pages ask again every five seconds, which the page's own clock skips. A page that was not ready to
# ask when it was skipped takes them, and a loaded machine more.
PERIOD_MS, LIVE_MS = 5_000, 20_000


def say(console: Console, terminal: str, waiting: int, now_ms: int) -> None:
    """The terminal reports that it is there."""
    status = Status(
        online=True, session="s9", epoch=1, head_seq=100 + waiting, oldest_ms=now_ms - 1_000
    )
    with console.front.database.write() as connection:
        store.hear_status(connection, terminal, status, now_ms)


@pytest.mark.browser
def test_the_fleet_follows_what_terminals_say(console: Console, page: Page) -> None:
    page.clock.install()
    console.open(page, "/console/terminals", Role.READER)
    row = page.get_by_role("row").filter(has_text="t-0003")
    expect(row).to_contain_text("Offline")
    console.front.now_ms += 60_000
    say(console, "t-0003", 7, console.front.now_ms)
    page.clock.fast_forward(PERIOD_MS)
    expect(row).to_contain_text("Online", timeout=LIVE_MS)
    expect(page.get_by_role("row").filter(has_text="t-0001")).to_contain_text("Online")
    console.front.now_ms += 600_000
    page.clock.fast_forward(PERIOD_MS)
    expect(row).to_contain_text("Silent", timeout=LIVE_MS)


@pytest.mark.browser
def test_a_filter_narrows_while_one_types_and_goes_into_the_export(
    console: Console, page: Page
) -> None:
    console.open(page, "/console/terminals")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(3)
    page.get_by_label("Site").select_option("site-2")
    expect(rows).to_have_count(1)
    expect(page).to_have_url(f"{console.url}/console/terminals?text=&site=site-2&state=")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    lines = download.value.path().read_text("utf-8-sig").splitlines()
    assert [line.split(",")[0] for line in lines] == ["terminal", "t-0003"]
    page.go_back()
    expect(rows).to_have_count(3)


@pytest.mark.browser
def test_members_are_found_while_one_types(console: Console, page: Page) -> None:
    console.open(page, "/console/members")
    page.get_by_label("Name or id").press_sequentially("思远")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="m-000003").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("陈思远")
    page.get_by_role("link", name="t-0003-1-4", exact=False).first.click()
    expect(page.get_by_role("heading", level=2).first).to_contain_text("Proved")


@pytest.mark.browser
def test_an_operator_locks_a_terminal_and_sees_its_answer(console: Console, page: Page) -> None:
    page.clock.install()
    console.open(page, "/console/terminals/t-0001", Role.OPERATOR)
    page.get_by_role("link", name="Lock …").click()
    page.get_by_role("link", name="Leave it open").click()
    assert console.front.line.commands == []
    page.get_by_role("link", name="Lock …").click()
    expect(page.get_by_text("accepts no card until somebody unlocks it")).to_be_visible()
    page.get_by_role("button", name="Lock this terminal").click()
    expect(page.get_by_role("status").filter(has_text="Sent: Lock")).to_be_visible()
    (sent,) = console.front.line.commands
    ordered = command.accept(sent, {LEDGER_KEY.key_id: LEDGER_KEY.verifier})
    assert (ordered.verb, ordered.operator) == (Verb.LOCK, "operator-1")
    done = CommandDone(id=ordered.id, code="done")
    status = Status(online=True, session="s9", epoch=1, head_seq=13, locked=True)
    with console.front.database.write() as connection:
        store.finish_command(connection, "t-0001", done, NOON_MS)
        store.hear_status(connection, "t-0001", status, NOON_MS)
    page.clock.fast_forward(PERIOD_MS)
    expect(page.get_by_role("button", name="Unlock")).to_be_visible(timeout=LIVE_MS)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Locked")
    expect(page.get_by_role("row").filter(has_text="operator-1")).to_contain_text("Done")
    expect(page.get_by_role("status").filter(has_text="The terminal answered")).to_be_visible()


@pytest.mark.browser
def test_the_listing_names_an_operators_command(console: Console, page: Page) -> None:
    till = console.town.add_till("t-0004")
    ledger = Ledger(console.front.database, CURRENCY, console.front.clock_ms)
    commit(ledger, till, till.open(), till.record(Kind.OPERATOR, reason="lock", bundle=None))
    console.open(page, "/console/records?terminal=t-0004")
    expect(page.get_by_role("row").filter(has_text="t-0004-1-2")).to_contain_text("Operator Lock")


def test_one_can_look_for_what_terminals_write_and_nothing_else(client: Clients) -> None:
    sources = "".join(path.read_text() for path in (run.ROOT / "edge").rglob("*.py"))
    written = {name.lower() for name in re.findall(r"\bKind\.([A-Z_]+)", sources)}
    page = client(Role.READER).get("/console/records").text
    offered = re.findall(r'<option value="(\w+)"', page)
    assert set(offered) == written


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/console/bundles/new", "unknown_bundle"),
        ("/console/bundles/1.5", "unknown_bundle"),
        (f"/console/bundles/{'9' * 30}", "unknown_bundle"),
        ("/console/records/t-0001/one/3", "unknown_record"),
        ("/console/records/t-0001/1/-3/data", "unknown_record"),
        ("/console/quarantine/t-0003/1/x/accept", "unknown_record"),
    ],
)
def test_an_address_that_was_mistyped_leads_to_nothing_in_plain_words(
    client: Clients, path: str, code: str
) -> None:
    answer = client(Role.ADMIN).get(path)
    assert answer.status_code == 404
    assert code in answer.text
    assert "integer" not in answer.text
    assert 'href="/console/members"' in answer.text


@pytest.mark.browser
def test_revoking_asks_first(console: Console, page: Page) -> None:
    console.open(page, "/console/terminals/t-0002", Role.OPERATOR)
    page.get_by_role("link", name="Revoke …").click()
    page.get_by_role("link", name="Keep it").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Active")
    page.get_by_role("link", name="Revoke …").click()
    page.get_by_role("button", name="Revoke this terminal").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Revoked")
    expect(page.get_by_role("link", name="Lock …")).to_have_count(0)
    assert console.front.line.said == [("terminal", "t-0002")]


@pytest.mark.browser
def test_a_card_is_frozen_and_allowed_again(console: Console, page: Page) -> None:
    console.open(page, "/console/members/m-000001", Role.OPERATOR)
    card = page.get_by_role("row").filter(has_text=CARD[:8])
    expect(card).to_contain_text("Smart card")
    card.get_by_role("button", name="Freeze").click()
    expect(card).to_contain_text("Frozen")
    card.get_by_role("button", name="Allow again").click()
    expect(card).to_contain_text("Active")
    assert console.front.line.said == [("members", "")] * 2


@pytest.mark.browser
def test_prices_are_published_and_a_wrong_draft_is_kept(console: Console, page: Page) -> None:
    console.open(page, "/console/bundles")
    page.get_by_role("link", name="Publish …").click()
    text = page.get_by_label("Bundle as JSON")
    draft = json.loads(text.input_value())
    assert datetime.fromisoformat(draft["activate_at"]).utcoffset() == timedelta(0)
    draft["golden"] = [{"basket": [{"sku": "p-0", "quantity": 1}], "total": 1, "earned": 3}]
    text.fill(json.dumps(draft))
    page.get_by_role("button", name="Check, sign and publish").click()
    expect(page.get_by_role("alert")).to_contain_text("bad_bundle")
    assert json.loads(text.input_value()) == draft
    draft["golden"][0]["total"] = 300
    text.fill(json.dumps(draft))
    page.get_by_role("button", name="Check, sign and publish").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Bundle 3 Scheduled")
    assert console.front.line.said == [("bundle", "")]


@pytest.mark.browser
def test_a_member_page_shows_the_purse_and_what_was_torn(console: Console, page: Page) -> None:
    till = console.town.add_till("t-0007")
    opened = till.open()
    card = Card(
        card_of("m-000003").reference, "desfire", CardClass.VALUE, counter=4, balance_before=5_000
    )
    tenders = (Tender("card_purse", 1_200),)
    fields = {"card": card, "tenders": tenders, "refers_to": bytes(16), "bundle": None}
    torn = till.record(Kind.CARD_EVENT, reason="card_torn", **fields)
    paid = structs.replace(card, counter=5, balance_after=4_700)
    sold = till.sale("m-000003", tenders=(Tender("card_purse", 300),), card=paid)
    ledger = Ledger(console.front.database, CURRENCY, lambda: NOON_MS)
    commit(ledger, till, opened, torn, sold)
    wide = issued_card("m-000003")._replace(reference=b"\xff" * 16, family="ultralight")
    with console.front.database.write() as connection:
        members.add_card(connection, wide._replace(state=CardState.LOST))
    texts = {
        Language.CHINESE: "12.00: 付款中断",
        Language.ENGLISH: "12.00: torn, the card did not pay",
    }
    for language, text in texts.items():
        choose(page, language)
        console.open(page, "/console/members/m-000003")
        row = page.locator("[aria-labelledby=cards]").get_by_role("row").nth(1)
        expect(row).to_contain_text("47.00")
        expect(row).to_contain_text(text)
        expect(row.get_by_role("button")).to_have_count(2)
        expect(page.locator(".scroll.more")).to_have_count(0)
    line = page.get_by_role("row").filter(has_text="t-0007-1-3")
    expect(line).to_contain_text("Purse on the card ¥3.00")


@pytest.mark.browser
def test_a_lost_connection_is_said_and_what_was_there_stays(
    console: Console, browser: Browser
) -> None:
    with browser.new_context() as context:
        tab = context.new_page()  # not the watched one: here requests have to fail
        tab.clock.install()
        with Server(console.front.app) as server:
            console.enter(tab, Role.ADMIN)
            tab.goto(f"{server.url}/console/terminals")
            expect(tab.locator("tbody tr")).to_have_count(3)
            expect(tab.locator("#stale")).to_be_hidden()
        tab.clock.fast_forward(PERIOD_MS)
        expect(tab.locator("#stale")).to_be_visible(timeout=LIVE_MS)
        expect(tab.locator("tbody tr")).to_have_count(3)


@pytest.mark.browser
def test_a_page_keeps_the_place_of_the_keyboard(console: Console, page: Page) -> None:
    page.clock.install()
    console.open(page, "/console/terminals")
    page.locator("#row-t-0002").focus()
    say(console, "t-0002", 50, NOON_MS)
    page.clock.fast_forward(PERIOD_MS)
    expect(page.get_by_role("row").filter(has_text="t-0002")).to_contain_text(
        "144", timeout=LIVE_MS
    )
    assert page.evaluate("document.activeElement.id") == "row-t-0002"


@pytest.mark.browser
def test_a_fork_is_shown_with_both_sides(console: Console, page: Page) -> None:
    town = console.town
    till = town.add_till("t-0004")
    ledger = Ledger(console.front.database, CURRENCY, console.front.clock_ms)
    commit(ledger, till, till.open())
    head = till.head
    commit(ledger, till, till.sale("m-000001"))
    till.head = head
    ledger.ingest([till.batch(till.sale("m-000002"))])
    console.open(page, "/console/terminals/t-0004")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Forked")
    expect(page.get_by_text("Two histories came under")).to_be_visible()
    page.goto(f"{console.url}/console/quarantine")
    sides = page.get_by_role("row").filter(has_text="t-0004-1-2")
    expect(sides).to_have_count(2)
    hashes = {each.text_content() for each in sides.locator("code").all()}
    assert len(hashes) == 2


@pytest.mark.browser
def test_taking_a_record_out_of_quarantine_asks_first(console: Console, page: Page) -> None:
    till = console.town.add_till("t-0004")
    with console.front.database.write() as connection:
        store.revoke(connection, "t-0004", till.at_ms)
    ledger = Ledger(console.front.database, CURRENCY, console.front.clock_ms)
    ledger.ingest([till.batch(till.top_up("m-000001", 5_000))])
    console.open(page, "/console/quarantine", Role.OPERATOR)
    row = page.get_by_role("row").filter(has_text="t-0004-1-1")
    row.get_by_role("link", name="Book …").click()
    page.get_by_role("link", name="Leave it apart").click()
    row.get_by_role("link", name="Book …").click()
    page.get_by_label("Why it is right").fill("paid at the till")
    page.get_by_role("button", name="Book it").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Posted")
    expect(page.get_by_text("Was kept apart because:")).to_contain_text("paid at the till")
    assert console.front.line.said == [("members", "")]
    page.goto(f"{console.url}/console/quarantine")
    expect(row).to_contain_text("operator-1 took it on")
    expect(row.get_by_role("link", name="Book …")).to_have_count(0)


@pytest.fixture
def untouched(shown: Console) -> Iterator[Console]:
    """A console whose books and line must be the same afterwards."""
    before = contents(shown.front.database), list(shown.front.line.said)
    yield shown
    assert (contents(shown.front.database), shown.front.line.said) == before


@pytest.mark.parametrize("role", [Role.READER, Role.PROVISIONER])
@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/console/terminals/t-0001/commands", {"verb": "lock"}),
        ("/console/terminals/t-0001/revoke", {}),
        (f"/console/cards/{CARD}/state", {"state": "frozen"}),
        ("/console/publish", {"text": "{}"}),
        ("/console/quarantine/t-0003/1/8/accept", {"note": "right"}),
    ],
)
def test_a_role_that_may_not_can_not(
    untouched: Console, client: Clients, role: Role, path: str, form: dict[str, str]
) -> None:
    answer = client(role).post(path, data=form)
    assert answer.status_code == 403
    assert "not_allowed" in answer.text


@pytest.mark.parametrize(
    ("path", "form", "status", "code"),
    [
        ("/console/terminals/t-0001/commands", {"verb": "shell"}, 422, "bad_field"),
        ("/console/terminals/t-0001/commands", {}, 422, "bad_field"),
        ("/console/terminals/t-9999/commands", {"verb": "lock"}, 404, "unknown_terminal"),
        ("/console/terminals/t-9999/revoke", {}, 404, "unknown_terminal"),
        (f"/console/cards/{'00' * 16}/state", {"state": "frozen"}, 404, "unknown_card"),
        (f"/console/cards/{CARD}/state", {"state": "melted"}, 422, "bad_field"),
        ("/console/quarantine/t-0003/1/8/accept", {"note": " "}, 422, "bad_field"),
        ("/console/quarantine/t-0003/1/8/accept", {"note": "right"}, 409, "not_acceptable"),
        ("/console/quarantine/t-0001/1/3/accept", {"note": "right"}, 409, "not_kept_apart"),
        ("/console/quarantine/t-0001/1/999/accept", {"note": "right"}, 404, "unknown_record"),
        ("/console/publish", {"text": "{"}, 400, "bad_json"),
        ("/console/publish", {"text": "[]"}, 422, "bad_field"),
        ("/console/publish", {"text": '{"colour": 1}'}, 422, "unknown_field"),
        ("/console/preferences", {"theme": "pink"}, 422, "bad_field"),
    ],
)
def test_a_wrong_form_is_said_and_changes_nothing(
    untouched: Console, client: Clients, path: str, form: dict[str, str], status: int, code: str
) -> None:
    answer = client(Role.ADMIN).post(path, data=form)
    assert answer.status_code == status
    assert code in answer.text


def test_the_signed_bytes_are_what_is_downloaded(client: Clients, shown: Console) -> None:
    answer = client(Role.READER).get("/console/records/t-0001/1/3/data")
    token = {"Authorization": f"Bearer {shown.front.tokens[Role.READER]}"}
    record = client(None).get("/v1/records/t-0001/1/3", headers=token).json()
    assert answer.content.hex() == record["data"]
    assert answer.headers["content-disposition"] == 'attachment; filename="t-0001-1-3.cose"'


@pytest.mark.parametrize(
    ("path", "lines", "first"),
    [
        ("/console/terminals.csv?state=online", 3, "terminal"),
        ("/console/members.csv?search=m-00000", 7, "member"),
        ("/console/records.csv?terminal=t-0001", 14, "terminal"),
        ("/console/members/m-000001/statement.csv", 5, "occurred_ms"),
    ],
)
def test_tables_are_exported(client: Clients, path: str, lines: int, first: str) -> None:
    answer = client(Role.READER).get(path)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    text = answer.content.decode("utf-8-sig")
    assert len(text.splitlines()) == lines
    assert text.startswith(f"{first},")
