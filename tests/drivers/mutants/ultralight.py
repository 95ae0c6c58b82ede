"""Faults of an Ultralight AES or C or its terminal, and the test that sees each."""

from __future__ import annotations

from drivers.cards.ultralight import Chip
from drivers.secure_channel import three_pass
from drivers.secure_channel.ultralight import ReaderAuthentication, Session
from drivers.virtual.cards import ultralight
from drivers.virtual.cards.ultralight import UltralightCard
from drivers.virtual.cards.ultralight_state import UltralightState
from tests.drivers import test_ultralight as dialogue
from tests.drivers.planting import Mutants, constant, instead, replaced

MUTANTS: Mutants = {
    "MAC of answers unchecked by the terminal": (
        replaced(Session, "unwrap", instead(lambda _self, protected: protected[:-8])),
        lambda: dialogue.test_every_changed_bit_of_an_answer_is_noticed(Chip.AES, 2),
    ),
    "the card's proof of the key unchecked": (
        replaced(ReaderAuthentication, "check", constant(None)),
        lambda: dialogue.test_every_changed_bit_of_an_answer_is_noticed(Chip.C, 1),
    ),
    "random numbers not rotated": (
        replaced(three_pass, "_rotated", instead(lambda number: number)),
        lambda: dialogue.test_an_issued_card_is_proved(Chip.AES),
    ),
    "wrong keys not counted": (
        replaced(UltralightState, "failures_max", instead(property(lambda _: 0))),
        dialogue.test_the_card_counts_wrong_keys_and_refuses_at_last,
    ),
    "the card shows its key": (
        replaced(ultralight, "AES_KEY_PAGE", instead(0x34)),
        lambda: dialogue.test_the_card_keeps_its_key_and_its_pages(Chip.AES),
    ),
    "anybody may write": (
        replaced(UltralightCard, "_needs_key", constant(value=False)),
        lambda: dialogue.test_the_card_keeps_its_key_and_its_pages(Chip.C),
    ),
}
