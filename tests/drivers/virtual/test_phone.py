"""The software phone draws anew with each slot, and its page shows what a terminal takes."""

from __future__ import annotations

import os

import httpx
import segno

from drivers.virtual.phone import SCALE, PhonePage, VirtualPhone
from protocol.qr_credential import SLOT_S, issue, verify
from tests.protocol.phone import CREDENTIAL, ISSUER, ISSUERS, NOW_S, PHONE, TENANT


class Clock:
    """A clock that a test sets."""

    now_s = NOW_S


def phone(clock: Clock) -> VirtualPhone:
    return VirtualPhone(issue(CREDENTIAL, ISSUER), PHONE, lambda: clock.now_s, os.urandom)


def test_a_code_stays_for_its_slot_and_then_is_another() -> None:
    clock = Clock()
    screen = phone(clock)
    first = screen.code()
    clock.now_s += SLOT_S - 1
    assert screen.code() == first
    clock.now_s += 1
    second = screen.code()
    assert second != first
    for text in (first, second):
        assert verify(text, ISSUERS, TENANT, clock.now_s).credential == CREDENTIAL


def test_the_page_shows_the_code_and_asks_for_the_next_in_time() -> None:
    clock = Clock()
    clock.now_s += 7
    screen = phone(clock)
    page = PhonePage(screen, "<李雷>")
    try:
        shown = httpx.get(page.url)
        text = httpx.get(page.url + "code.txt").text
        assert httpx.get(page.url + "key").status_code == 404
    finally:
        page.close()
    assert text == screen.code()
    drawn = segno.make_qr(text, error="m", boost_error=False).svg_inline(scale=SCALE)
    assert drawn in shown.text
    assert 'content="23"' in shown.text
    assert "&lt;李雷&gt;" in shown.text
    assert shown.headers["Cache-Control"] == "no-store"
