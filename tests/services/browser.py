"""A real Chromium for tests of pages: it fails a test whose page complains, and asks axe.

Serving the pages is left to the tests.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, sync_playwright

import run

EXECUTABLE = "/usr/bin/chromium"
# What keeps Chromium from looking up its maker's hosts; CI and containers run as root, where its
# sandbox cannot.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WAIT_MS = 10_000
IMAGES = run.ROOT / "docs" / "images"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this process."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=EXECUTABLE, args=list(ARGUMENTS))
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh page with its own cookies; script errors, failed or foreign requests fail the test.

    The status of the page itself is for the test to judge: it may be there to see a 404.
    """
    context = browser.new_context(
        viewport={"width": 1280, "height": 800},
        locale="en-US",
        timezone_id="UTC",
        reduced_motion="reduce",  # axe must not measure a colour half-way to another
    )
    context.set_default_timeout(WAIT_MS)
    tab = context.new_page()
    complaints = watch(tab)
    yield tab
    context.close()
    assert complaints == []


def watch(tab: Page) -> list[str]:
    """Return a list that grows by each thing that must not happen on a page of ours."""
    complaints: list[str] = []

    def console(message: ConsoleMessage) -> None:
        # A failed load of a part is told by `response`; one of the page itself is the test's.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            complaints.append(f"console: {message.text}")

    def request(sent: Request) -> None:
        url = urlsplit(sent.url)
        if url.scheme in ("http", "https", "ws") and url.hostname != "127.0.0.1":
            complaints.append(f"leaves the machine: {sent.url}")

    def response(received: Response) -> None:
        part = received.request.resource_type not in ("document", "fetch", "xhr")
        if part and received.status >= 400:
            complaints.append(f"{received.status}: {received.url}")

    tab.on("console", console)
    tab.on("pageerror", lambda error: complaints.append(f"script: {error}"))
    tab.on("request", request)
    tab.on("response", response)
    return complaints


def accessibility_report(tab: Page) -> str:
    """What axe finds wrong with the page as it is shown now; empty when it finds nothing."""
    results = Axe().run(tab)
    return str(results.generate_report()) if results.violations_count else ""


def shows_chinese(tab: Page) -> bool:
    """Whether Chinese characters have glyphs of their own: tofu passes axe, but nobody reads it."""
    drawn = """() => {
        const draw = (text) => {
            const canvas = document.createElement("canvas");
            const context = canvas.getContext("2d");
            context.font = "40px " + getComputedStyle(document.body).fontFamily;
            context.fillText(text, 4, 50);
            return canvas.toDataURL();
        };
        return draw("余") !== draw("额") && draw("额") !== draw(String.fromCodePoint(0x10fffd));
    }"""
    return bool(tab.evaluate(drawn))


def screenshot(tab: Page, name: str) -> Path | None:
    """Write docs/images/``name``.png when TAPLEDGER_SCREENSHOTS=1 asks for it."""
    if os.environ.get("TAPLEDGER_SCREENSHOTS") != "1":
        return None
    path = IMAGES / f"{name}.png"
    tab.screenshot(path=path, full_page=True, animations="disabled")
    return path
