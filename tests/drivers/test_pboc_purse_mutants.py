"""Protections of the PBOC purse taken away one by one: a test sees each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from drivers.cards import pboc_purse
from drivers.errors import (
    CardForged,
    DriverError,
)
from drivers.purse import Fate
from drivers.secure_channel import pboc
from drivers.virtual.cards.pboc_purse import PbocPurseCard
from tests.drivers import test_pboc_purse as dialogue
from tests.drivers.frame_world import ESTATE
from tests.drivers.virtual import test_pboc_purse as contract
from tests.drivers.world import TRUST

# Mutants: each is one protection taken away; the named check sees it.


def no_mac_check(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PbocPurseCard, "_check", lambda *_: None)


def same_number_again(patch: pytest.MonkeyPatch) -> None:
    whole = PbocPurseCard._debit  # noqa: SLF001 - it is the mutant's

    def mutant(card: PbocPurseCard, command: object) -> object:
        answer = whole(card, command)  # type: ignore[arg-type]
        card.state.purse.offline_seq -= 1
        return answer

    patch.setattr(PbocPurseCard, "_debit", mutant)


def challenge_not_checked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pboc_purse, "compare_digest", lambda *_: True)


def debit_at_initialize(patch: pytest.MonkeyPatch) -> None:
    whole = PbocPurseCard._offer_purchase  # noqa: SLF001 - it is the mutant's

    def mutant(card: PbocPurseCard, purse: pboc.Purse, amount: int) -> pboc.PurchaseOffer:
        offer = whole(card, purse, amount)
        card.state.purse.balance -= amount
        return offer

    patch.setattr(PbocPurseCard, "_offer_purchase", mutant)


def transaction_outlives_power(patch: pytest.MonkeyPatch) -> None:
    whole = PbocPurseCard.reset

    def mutant(card: PbocPurseCard) -> None:
        kept = getattr(card, "_begun", None)
        whole(card)
        card._begun, card._selected = kept, True  # noqa: SLF001 - it is the mutant's

    patch.setattr(PbocPurseCard, "reset", mutant)


def no_proof_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PbocPurseCard, "_keep", lambda *_: None)


def fate_by_number_alone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pboc_purse, "resolve", lambda *_: Fate.MOVED)


MUTANTS: dict[Callable[[pytest.MonkeyPatch], None], Callable[[], None]] = {
    no_mac_check: contract.test_a_wrong_mac_is_refused_and_counted_and_ends_the_transaction,
    same_number_again: dialogue.test_a_purse_says_who_it_is_what_it_holds_and_how_often_it_paid,
    challenge_not_checked: lambda: dialogue.test_a_card_that_is_not_for_here(
        replace(TRUST, site=ESTATE.site_key("mall", 0)), CardForged
    ),
    debit_at_initialize: lambda: (
        dialogue.test_a_card_torn_away_before_anything_was_written_down_paid_nothing(lost=True)
    ),
    transaction_outlives_power: contract.test_what_was_begun_ends_with_the_next_command_or_power,
    no_proof_kept: lambda: dialogue.test_a_torn_debit_is_found_out_at_the_next_tap(lost=True),
    fate_by_number_alone: dialogue.test_a_second_try_of_the_same_amount_is_not_taken_for_the_first,
}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_mutant_is_seen(
    mutant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    MUTANTS[mutant]()
    mutant(monkeypatch)
    with pytest.raises((AssertionError, DriverError, pytest.fail.Exception)):
        MUTANTS[mutant]()
