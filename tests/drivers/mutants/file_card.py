"""Faults of a CPU card with files or its terminal, and the test that sees each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drivers.cards.file_card import Member
from drivers.secure_channel import retail_mac
from drivers.virtual.cards import file_card
from drivers.virtual.cards.file_card import FileCard
from drivers.virtual.cards.file_card_state import TRIES
from tests.drivers import test_file_card as dialogue
from tests.drivers.planting import Mutants, constant, instead, replaced
from tests.drivers.virtual import test_file_card as contract
from tests.drivers.world import serial


def _keeps(name: str) -> Callable[[Any], Any]:
    """What the card has under this name outlives the command that should end it."""

    def make(original: Any) -> Any:
        def run(card: FileCard, command: Any) -> Any:
            kept = getattr(card, name)
            answer = original(card, command)
            setattr(card, name, getattr(card, name) or kept)
            return answer

        return run

    return make


MUTANTS: Mutants = {
    "MAC of answers unchecked by the terminal": (
        replaced(retail_mac, "compare_digest", constant(value=True)),
        dialogue.test_a_changed_answer_is_noticed,
    ),
    "the member file of another card taken": (
        replaced(Member, "serial", instead(property(lambda _: serial(1)))),
        dialogue.test_the_file_of_another_card_is_forged,
    ),
    "rights of files not asked for": (
        replaced(FileCard, "_require", constant(None)),
        contract.test_a_site_key_reads_the_member_file_and_does_not_write_it,
    ),
    "challenge used again": (
        replaced(FileCard, "_run", _keeps("_challenge")),
        contract.test_a_challenge_is_good_once_and_for_the_next_command_alone,
    ),
    "session survives a plain command": (
        replaced(FileCard, "_run", _keeps("_session")),
        contract.test_a_command_said_twice_or_after_a_plain_one_ends_the_session,
    ),
    "wrong keys not counted": (
        replaced(file_card, "TRIES", instead(TRIES + 1)),
        dialogue.test_a_wrong_site_key_costs_a_try_and_a_right_one_gives_it_back,
    ),
}
