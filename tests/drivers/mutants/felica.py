"""Faults of a FeliCa Lite-S or its terminal, and the test that sees each."""

from __future__ import annotations

from drivers.cards import felica
from drivers.secure_channel import felica_lite
from drivers.virtual.cards.felica_state import FelicaState
from tests.drivers import test_felica as dialogue
from tests.drivers.planting import Mutants, instead, replaced

MUTANTS: Mutants = {
    "MAC of answers unchecked by the terminal": (
        replaced(felica, "check_read", instead(lambda _key, _challenge, data, _mac: data)),
        lambda: dialogue.test_every_changed_bit_that_counts_is_noticed(2),
    ),
    "the terminal proves itself to nobody": (
        replaced(felica, "_prove_terminal", instead(lambda *_: iter(()))),
        dialogue.test_an_issued_card_is_proved_and_counts_its_taps,
    ),
    "write counter not raised": (
        replaced(FelicaState, "writes", instead(property(lambda _: 0, lambda *_: None))),
        dialogue.test_a_write_heard_before_is_refused,
    ),
    "an issued card stays open": (
        replaced(FelicaState, "is_open", instead(property(lambda _: True))),
        dialogue.test_an_issued_card_keeps_its_key_and_its_configuration,
    ),
    "session key of groups that are not reversed": (
        replaced(felica_lite, "_groups_reversed", instead(lambda data: data)),
        dialogue.test_an_issued_card_is_proved_and_counts_its_taps,
    ),
}
