"""How values stand on a page and in a sheet."""

from __future__ import annotations

import pytest

from cloud.console.display import age, change, fingerprint, moment, money, number
from cloud.console.sheet import sheet
from cloud.console.shell import inside


@pytest.mark.parametrize(
    ("amount", "unit", "text"),
    [
        (12_850, "CNY", "¥128.50"),
        (-5, "CNY", "−¥0.05"),
        (123_456_789, "CNY", "¥1,234,567.89"),
        (1_500, "JPY", "JPY 1,500"),
        (-100, "CHF", "−CHF 1.00"),
        (1_234, "PT", "1,234"),
        (0, "CNY", "¥0.00"),
    ],
)
def test_money(amount: int, unit: str, text: str) -> None:
    assert money(amount, unit) == text


def test_a_change_shows_its_direction() -> None:
    assert [change(amount, "CNY") for amount in (5, 0, -5)] == ["+¥0.05", "¥0.00", "−¥0.05"]
    assert number(-1_234) == "−1,234"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3_599, "59 min"), (7_200, "2 h"), (90_000, "1 d")],
)
def test_age(seconds: int, text: str) -> None:
    assert age(seconds, lambda each: each) == text


def test_a_moment_is_for_people_and_machines() -> None:
    assert moment(1_790_000_000_123) == (
        '<time datetime="2026-09-21T14:13:20.123Z">2026-09-21 14:13:20 UTC</time>'
    )
    assert "time" not in moment(0)


@pytest.mark.parametrize("wall_ms", [(1 << 48) - 1, 1 << 53, -1])
def test_a_year_that_no_calendar_has_is_shown_as_it_was_claimed(wall_ms: int) -> None:
    assert moment(wall_ms) == f'<span class="none">{number(wall_ms)} ms</span>'


def test_the_last_year_of_the_calendar_is_a_moment() -> None:
    assert "9999-12-31" in moment(253_402_300_798_000)


def test_a_fingerprint_is_grouped_and_harmless() -> None:
    assert fingerprint("0123456789") == '<code class="hash">01234567<wbr>89</code>'
    assert "<b>" not in fingerprint("<b>bold</b>")


def test_a_sheet_runs_nothing() -> None:
    cells = ("=1+1", "+1", "-1", "@x", "a,b", "林", -5)
    text = bytes(sheet("name", ("head",), [cells]).body).decode("utf-8-sig")
    assert text == "head\r\n'=1+1,'+1,'-1,'@x,\"a,b\",林,-5\r\n"


@pytest.mark.parametrize(
    ("path", "led"),
    [
        ("/console/records?terminal=a", "/console/records?terminal=a"),
        ("/console", "/console"),
        ("/consoles", "/console"),
        ("//host/console", "/console"),
        ("https://host/console", "/console"),
        ("", "/console"),
    ],
)
def test_a_way_back_leads_inside(path: str, led: str) -> None:
    assert inside(path) == led
