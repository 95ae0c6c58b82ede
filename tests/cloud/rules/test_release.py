"""A draft becomes a bundle only when every terminal could price with it."""

from __future__ import annotations

import pytest

from cloud.errors import BundleExists
from cloud.rules.model import Draft
from cloud.rules.release import release
from protocol.errors import BadBundle, Malformed, UnknownProduct
from protocol.membership.tiers import Tier
from protocol.rules.bundle import Golden, Product, Rule, accept
from tests.cloud.town import CURRENCY, PRODUCTS, RULES, RULES_KEY, TENANT

DRAFT = Draft(
    number=None,
    activate_ms=0,
    currency=CURRENCY,
    products=PRODUCTS,
    rules=RULES,
    tiers=(Tier("gold", 100_000),),
    golden=(Golden("gold", (("p-0", 2),), 540, 5),),
)


def test_a_draft_takes_the_next_number_and_is_signed() -> None:
    made = release(DRAFT, TENANT, 4, RULES_KEY)
    assert made.bundle.number == 5
    assert accept(made.data, {RULES_KEY.key_id: RULES_KEY.verifier}) == made


def test_numbers_only_rise() -> None:
    with pytest.raises(BundleExists):
        release(DRAFT._replace(number=4), TENANT, 4, RULES_KEY)


@pytest.mark.parametrize(
    ("draft", "error"),
    [
        (DRAFT._replace(golden=(Golden("", (("p-0", 2),), 540, 5),)), BadBundle),
        (DRAFT._replace(golden=(Golden("", (("p-99", 2),), 540, 5),)), UnknownProduct),
        (DRAFT._replace(rules=(Rule("x", "no_such_kind", {}),)), BadBundle),
        (DRAFT._replace(rules=(Rule("x", "percent_off", {"tier": 5}),)), BadBundle),
        (DRAFT._replace(products=(*PRODUCTS, PRODUCTS[0])), BadBundle),
        (DRAFT._replace(products=(Product("Bad Name", 1, "", ""),), golden=()), Malformed),
    ],
)
def test_what_a_terminal_could_not_use_is_refused(draft: Draft, error: type[Exception]) -> None:
    with pytest.raises(error):
        release(draft, TENANT, 0, RULES_KEY)
