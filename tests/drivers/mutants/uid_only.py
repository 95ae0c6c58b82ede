"""Faults by which a card that could prove itself would be taken by its number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nfc.clf as air

from drivers import identify, nfc_frontend
from drivers.errors import CardGone, CardSilent, DriverError, ExchangeTimeout
from drivers.readers import nfc
from drivers.readers.nfc import NfcReader
from tests.drivers import test_silent_card as dialogue
from tests.drivers.planting import Mutants, constant, instead, replaced


def _taken_for_silence(failure: type[DriverError]) -> Callable[[Any], Any]:
    """Whatever ends so is said to have been silence to the first frame."""

    def make(original: Any) -> Any:
        def hold(*said: Any) -> Any:
            try:
                return original(*said)
            except failure as error:
                raise CardSilent from error

        return hold

    return make


def _finds_any(reader: NfcReader) -> bool:
    """Whether any card is there."""
    reader._tag = None  # noqa: SLF001
    return reader._frontend.look(reader._target.brty) is not None  # noqa: SLF001


MUTANTS: Mutants = {
    "a card torn away taken by its number": (
        replaced(identify, "hold_frames", _taken_for_silence(CardGone)),
        lambda: dialogue.test_a_card_that_is_torn_away_is_gone(2, answer_lost=True),
    ),
    "a card that spoke and fell silent taken by its number": (
        replaced(identify, "hold_frames", _taken_for_silence(ExchangeTimeout)),
        lambda: dialogue.test_a_card_that_spoke_and_falls_silent_has_failed(2),
    ),
    "one missed frame taken for silence": (
        replaced(identify, "TIMES_ASKED", instead(1)),
        lambda: dialogue.test_a_card_that_misses_a_frame_is_asked_again(1),
    ),
    "not looked whether the silent card is there": (
        replaced(NfcReader, "_is_there", constant(value=True)),
        lambda: dialogue.test_a_card_that_is_torn_away_is_gone(1, answer_lost=False),
    ),
    "any card in the place of the silent one taken for it": (
        replaced(NfcReader, "_is_there", instead(_finds_any)),
        lambda: dialogue.test_a_card_in_the_place_of_the_silent_one_is_not_it(2),
    ),
    "a smart card that was not activated taken by its number": (
        replaced(nfc, "_speaks_iso_dep", constant(value=False)),
        lambda: dialogue.test_a_card_with_apdus_that_misses_its_activation_is_never_a_number(1),
    ),
    "a broken answer taken for silence": (
        replaced(nfc_frontend, "Silence", instead(air.CommunicationError)),
        dialogue.test_an_answer_that_came_broken_is_no_silence,
    ),
}
