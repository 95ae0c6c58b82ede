"""The day that is drawn: the same for the same seed, and with everything in it that it needs."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from provisioning.demo.commands import SEED, TAPS, TAPS_MIN
from provisioning.demo.plan import (
    CUT_FROM,
    CUT_SITE,
    FORGED,
    HEARD_AGAIN,
    HEARD_TAPS_MAX,
    MEMBER_CARDS,
    PHONE,
    SITES,
    STRANGER,
    TAG,
    TAG_TERMINAL,
    TERMINALS,
    TRAVELLERS,
    PlannedTap,
    draw,
)


def _all(plan: dict[str, list[PlannedTap]]) -> list[tuple[str, PlannedTap]]:
    return [(terminal, tap) for terminal, taps in plan.items() for tap in taps]


def test_the_same_seed_draws_the_same_day() -> None:
    assert draw(SEED, TAPS) == draw(SEED, TAPS)
    assert draw(SEED, TAPS) != draw(SEED + 1, TAPS)


@pytest.mark.parametrize("taps", [TAPS_MIN, TAPS, 1000])
@pytest.mark.parametrize("slow", [(), ("t-0002",)])
def test_it_has_as_many_taps_as_asked_for_in_order_of_time(taps: int, slow: tuple[str]) -> None:
    plan = draw(SEED, taps, slow)
    assert plan.keys() == set(TERMINALS)
    assert len(_all(plan)) == taps
    for planned in plan.values():
        times = [tap.at for tap in planned]
        assert times == sorted(times)
        assert times[0] >= 0
        assert times[-1] <= 1
    names = [tap.name for _, tap in _all(plan)]
    assert len(set(names)) == taps


def test_the_default_day_has_everything_in_it() -> None:
    taps = _all(draw(SEED, TAPS))
    assert TAPS >= 300
    kinds = Counter("look" if tap.order is None else tap.order["kind"] for _, tap in taps)
    assert kinds["sale"] > kinds["top_up"] > 0
    assert kinds["look"] > 0
    assert sum(bool(tap.voids) for _, tap in taps) > 0
    assert {STRANGER, FORGED, *MEMBER_CARDS} == {tap.card for _, tap in taps}


def test_every_member_pays_in_before_anything_else() -> None:
    first: dict[str, PlannedTap] = {}
    for _, tap in sorted(_all(draw(SEED, TAPS)), key=lambda each: each[1].at):
        first.setdefault(tap.card, tap)
    for card in MEMBER_CARDS:
        assert (first[card].order or {})["kind"] == "top_up"


@pytest.mark.parametrize("slow", [(), ("t-0002",)])
def test_travellers_spend_on_both_sides_of_the_cut(slow: tuple[str]) -> None:
    taps = sorted(_all(draw(SEED, TAPS, slow)), key=lambda each: each[1].at)
    for card in list(MEMBER_CARDS)[:TRAVELLERS]:
        later = [(terminal, tap) for terminal, tap in taps if tap.card == card][1:]
        assert [tap.at > CUT_FROM for _, tap in later] == [True, True]
        assert {SITES[terminal] == CUT_SITE for terminal, _ in later} == {True, False}


def test_a_void_takes_back_a_sale_of_the_same_terminal_and_card() -> None:
    plan = draw(SEED, 1000)
    for taps in plan.values():
        sold = {tap.name: tap for tap in taps if tap.order and tap.order["kind"] == "sale"}
        voided = [tap.voids for tap in taps if tap.voids]
        assert len(set(voided)) == len(voided) > 0
        for tap in taps:
            if tap.voids:
                assert sold[tap.voids].card == tap.card
                assert sold[tap.voids].at < tap.at


def test_a_code_or_tag_comes_where_it_is_read_and_not_twice_at_once() -> None:
    plan = draw(SEED, 1000)
    for terminal, taps in plan.items():
        for card, carried in MEMBER_CARDS.items():
            times = [tap.at for tap in taps if tap.card == card]
            if times and carried.kind in (PHONE, TAG):
                assert (carried.kind == TAG) == (terminal == TAG_TERMINAL)
                gaps = [later - earlier for earlier, later in pairwise(times)]
                assert all(gap >= HEARD_AGAIN for gap in gaps)
                assert len(times) <= HEARD_TAPS_MAX


def test_a_slow_terminal_takes_few_customers() -> None:
    plan = draw(SEED, TAPS, ("t-0002",))
    assert 0 < len(plan["t-0002"]) < TAPS // 15
