"""The latency model: every figure has a source, and a tap takes what its bytes and ranges say."""

from __future__ import annotations

from typing import Any

import pytest

from drivers.identify import card_kinds
from tests.bench.family_taps import TAPS
from tests.bench.latency import Exchange, HostCommand, Latency, every_figure

FIGURES = every_figure()


@pytest.mark.parametrize("table", FIGURES, ids=lambda table: table["source"][:40].strip())
def test_a_figure_names_its_source_or_says_that_it_is_assumed(table: dict[str, Any]) -> None:
    source = str(table["source"])
    assert "No source" not in source or table["assumed"]
    assert "No trace" not in source or table["assumed"]
    ranges = [value for name, value in table.items() if name.endswith("ms")]
    assert all(least <= most for least, most in ranges)


def test_every_family_that_is_asked_has_a_tap_and_times() -> None:
    names = {name.partition(":")[0] for name in TAPS}
    assert names == set(Latency(1).cards)
    assert {kind.name for kind in card_kinds() if kind.needs_site} <= names


def test_a_tap_is_the_sum_of_its_parts() -> None:
    select = Exchange(bytes.fromhex("02905A000003014CF500"), bytes.fromhex("029100"))
    split = Latency(1).by_pn532("desfire", [HostCommand(20), HostCommand(40, select)], "pn532_slow")
    assert 0.77 <= split.card <= 0.98
    line_ms, air_ms = 600 / 115.2, ((12 + 5) * 9 + 6) / 105.9375
    assert line_ms + air_ms + 14.2 <= split.link <= line_ms + air_ms + 21.2


def test_contacts_cost_what_iso_7816_3_says() -> None:
    select = Exchange(bytes(10), bytes(22))
    t0 = Latency(1).by_contacts("cpu", [select], "t0").link
    assert 52.5 <= t0 <= 57.6  # (32 + a procedure byte + 8 of GET RESPONSE) × 12 bits, and USB
    t1 = Latency(1).by_contacts("cpu", [select], "t1").link
    assert 6.8 <= t1 <= 11.9
