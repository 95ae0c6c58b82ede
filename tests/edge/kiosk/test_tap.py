"""A person, the page, and a whole terminal: PN532 driver, agent process and broker are real."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from edge.kiosk.view import KIOSK_ORDER
from tests.drivers.world import member_card
from tests.edge.ledger import SmallLedger
from tests.edge.terminal import TerminalProcess, credential_for_years
from tests.edge.test_terminal import serve, terminal
from tests.edge.world import wait_until

__all__ = ["terminal"]

pytestmark = [pytest.mark.browser, pytest.mark.broker_nats]


def sales(ledger: SmallLedger) -> list[str]:
    """The page's orders that the ledger has as sales."""
    records = [each.record for each in ledger.records]
    return [each.order for each in records if each.lines and each.order.startswith(KIOSK_ORDER)]


def test_a_person_pays_and_the_page_outlives_the_agent(
    page: Page,
    terminal: TerminalProcess,
    ledger: SmallLedger,
) -> None:
    serve(terminal, ledger)
    page.goto(f"http://127.0.0.1:{terminal.port}/")
    page.click("#language")
    page.click('[data-key="coffee"]')
    page.click("#pay")
    expect(page.locator("#said")).to_contain_text("Tap your card")
    terminal.reader.insert(member_card(1, credential_for_years))
    said = page.locator("#said")
    for text in ("Thank you!", "¥5.00", "¥95.00"):
        expect(said).to_contain_text(text)
    terminal.reader.remove()
    page.click("#done")
    page.click('[data-key="coffee"]')
    terminal.child.kill()
    expect(page.locator("#moment")).to_be_visible()
    terminal.start()
    expect(page.locator("#basket")).to_contain_text("Coffee")
    page.click("#pay")
    expect(said).to_contain_text("Tap your card")
    terminal.reader.insert(member_card(1, credential_for_years))
    expect(said).to_contain_text("¥90.00")
    wait_until(lambda: len(sales(ledger)) == 2, "both sales in the ledger")
    assert len(set(sales(ledger))) == 2
