"""Faults of an NTAG 424 DNA or its terminal, and the test that sees each."""

from __future__ import annotations

from typing import Any

from drivers.cards import ntag424 as family
from drivers.secure_channel import ev2
from drivers.secure_channel.channel import CommunicationMode
from drivers.virtual.cards import ntag424
from drivers.virtual.cards.ntag424_state import Ntag424State
from protocol import sun_link
from protocol.sun import SunMode
from tests.drivers import test_ntag424 as dialogue
from tests.drivers import test_ntag424_lrp as lrp
from tests.drivers.planting import Mutants, constant, instead, replaced


def _no_mac(_self: Any, _code: int, payload: bytes, mode: CommunicationMode) -> bytes:
    return payload if mode is CommunicationMode.PLAIN else payload[:-8]


MUTANTS: Mutants = {
    "MAC of answers unchecked by the terminal": (
        replaced(ev2.Session, "_checked", instead(_no_mac)),
        lambda: dialogue.test_every_changed_bit_of_an_answer_is_noticed(SunMode.AES, 3),
    ),
    "counter of reads not raised": (
        replaced(Ntag424State, "reads", instead(property(lambda _: 1, lambda *_: None))),
        lambda: dialogue.test_a_message_of_the_tag_is_verified_and_counts_reads(SunMode.AES),
    ),
    "wrong IV": (
        replaced(ev2, "initial_vector", constant(bytes(16))),
        lambda: dialogue.test_an_issued_tag_is_proved(SunMode.AES),
    ),
    "wrong keys never make wait": (
        replaced(ntag424, "FAILURES_FREE", instead(1000)),
        dialogue.test_others_wrong_attempts_do_not_lock_a_member_out,
    ),
    "personalisation forgets what is there already": (
        replaced(family, "KEY_VERSION", instead(0)),
        lambda: dialogue.test_a_tag_torn_away_at_any_command_is_issued_the_next_time(
            SunMode.AES, answer_lost=True
        ),
    ),
    "a tag that never leaves AES": (
        replaced(ntag424, "_LRP_BIT", instead(0)),
        lrp.test_lrp_mode_ends_the_session_and_aes_for_good,
    ),
    "the desk does not ask for LRP mode": (
        replaced(family, "_LRP_FOR_GOOD", instead((0x05, bytes(10)))),
        lambda: dialogue.test_an_issued_tag_is_proved(SunMode.LRP),
    ),
    "a message anywhere in the file": (
        replaced(ntag424, "_fits", constant(value=True)),
        lambda: lrp.test_a_message_must_have_room_in_the_file(SunMode.LRP),
    ),
    "the message of any tag taken": (
        replaced(sun_link, "verify", constant(None)),
        lambda: dialogue.test_every_changed_character_of_a_message_is_noticed(SunMode.AES),
    ),
}
