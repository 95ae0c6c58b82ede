"""Faults of a PBOC purse or its terminal, and the test that sees each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from drivers.cards import pboc_purse
from drivers.errors import CardForged
from drivers.purse import Fate
from drivers.virtual.cards.pboc_purse import PbocPurseCard
from protocol.pboc_purse import Purse
from tests.drivers import test_pboc_purse as dialogue
from tests.drivers.frame_world import ESTATE
from tests.drivers.planting import Mutants, constant, replaced
from tests.drivers.virtual import test_pboc_purse as contract
from tests.drivers.world import TRUST


def _same_number_again(original: Any) -> Any:
    def debit(card: PbocPurseCard, command: Any) -> Any:
        answer = original(card, command)
        card.state.purse.offline_seq -= 1
        return answer

    return debit


def _debits_at_once(original: Any) -> Any:
    def offer(card: PbocPurseCard, purse: Purse, amount: int) -> Any:
        offered = original(card, purse, amount)
        card.state.purse.balance -= amount
        return offered

    return offer


def _outlives_power(original: Any) -> Any:
    def reset(card: PbocPurseCard) -> None:
        kept = getattr(card, "_begun", None)
        original(card)
        card._begun, card._selected = kept, True  # noqa: SLF001

    return reset


MUTANTS: Mutants = {
    "MAC1 and MAC2 unchecked": (
        replaced(PbocPurseCard, "_check", constant(None)),
        contract.test_a_wrong_mac_is_refused_and_counted_and_ends_the_transaction,
    ),
    "number of purchases not raised": (
        replaced(PbocPurseCard, "_debit", _same_number_again),
        dialogue.test_a_purse_says_who_it_is_what_it_holds_and_how_often_it_paid,
    ),
    "the card's answer to the challenge unchecked": (
        replaced(pboc_purse, "compare_digest", constant(value=True)),
        lambda: dialogue.test_a_card_that_is_not_for_here(
            replace(TRUST, site=ESTATE.site_key("mall", 0)), CardForged
        ),
    ),
    "debit real when it is initialized": (
        replaced(PbocPurseCard, "_offer_purchase", _debits_at_once),
        lambda: dialogue.test_a_card_torn_away_before_anything_was_written_down_paid_nothing(
            lost=True
        ),
    ),
    "power lost, transaction kept": (
        replaced(PbocPurseCard, "reset", _outlives_power),
        contract.test_what_was_begun_ends_with_the_next_command_or_power,
    ),
    "no proof kept for a torn debit": (
        replaced(PbocPurseCard, "_keep", constant(None)),
        lambda: dialogue.test_a_torn_debit_is_found_out_at_the_next_tap(lost=True),
    ),
    "every torn debit taken for moved": (
        replaced(pboc_purse, "resolve", constant(Fate.MOVED)),
        dialogue.test_a_second_try_of_the_same_amount_is_not_taken_for_the_first,
    ),
}
