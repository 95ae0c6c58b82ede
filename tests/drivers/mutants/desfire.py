"""Faults of a DESFire card or its terminal, and the test that sees each."""

from __future__ import annotations

import hmac
from typing import Any

from drivers import personalise_desfire
from drivers.desfire import purse, session
from drivers.desfire.session import Session
from drivers.purse import Fate
from drivers.secure_channel import ev1, ev2
from drivers.secure_channel.channel import CommunicationMode
from drivers.virtual.cards import desfire, desfire_administration
from drivers.virtual.cards.desfire import DesfireCard
from drivers.virtual.cards.desfire_administration import Administration
from drivers.virtual.cards.desfire_files import Transaction
from protocol.desfire_purse import Record
from tests.drivers import test_desfire_dialogue as dialogue
from tests.drivers import test_personalise_desfire as making
from tests.drivers.desfire_world import factory_desfire
from tests.drivers.planting import Mutants, constant, instead, replaced
from tests.drivers.virtual import test_desfire as card
from tests.drivers.virtual import test_desfire_factory as factory


def _no_mac(_original: Any) -> Any:
    def checked(_self: Any, _code: int, payload: bytes, mode: Any) -> bytes:
        return payload if mode is CommunicationMode.PLAIN else payload[:-8]

    return checked


def _leaves_out(original: Any) -> Any:
    def command(self: Session, *said: Any) -> Any:
        before = self.transaction_input
        result = yield from original(self, *said)
        self.transaction_input = before
        return result

    return command


def _real_at_once(original: Any) -> Any:
    def changed(self: Transaction, number: int, *kinds: int) -> Any:
        original(self, number, *kinds)
        self._pending[number] = self._application.files[number]
        return self._pending[number]

    return changed


def _gives_back_anything(original: Any) -> Any:
    def changed(self: Transaction, number: int, *kinds: int) -> Any:
        file = original(self, number, *kinds)
        file.limit = 1_000
        return file

    return changed


def _forgets_to_count(original: Any) -> Any:
    def prove(self: Transaction, file: Any) -> None:
        original(self, file)
        file.counter -= 1

    return prove


def _needs_no_reader(original: Any) -> Any:
    def prove(self: Transaction, file: Any) -> None:
        self._reader_id = self._reader_id or bytes(16)
        original(self, file)

    return prove


def _same_challenge(original: Any) -> Any:
    def build(self: DesfireCard, state: Any, **_named: Any) -> None:
        original(self, state, draw=bytes)

    return build


def _from_zeros(original: Any) -> Any:
    def wrapped(self: ev1.Session, *said: Any) -> bytes:
        self._chain.iv = bytes(len(self._chain.iv))
        return bytes(original(self, *said))

    return wrapped


def _checksum_unread(_original: Any) -> Any:
    def opened(self: ev1.Session, _ins: int, payload: bytes, length: int, _old: Any) -> Any:
        plain = self._deciphered(payload[length:])
        return payload[:length], plain[:16], plain[16]

    return opened


def _kind_stays(original: Any) -> Any:
    def changed(self: Administration, keys: Any, *said: Any, **named: Any) -> None:
        kind = keys.triple_des
        original(self, keys, *said, **named)
        keys.triple_des = kind

    return changed


def from_the_factory() -> None:
    """A card as the factory makes it becomes one that works."""
    making.test_a_blank_card_becomes_one_that_works(factory_desfire)


def tap() -> None:
    """A debit and its proof."""
    dialogue.test_a_debit_takes_four_commands_and_is_proved()


MUTANTS: Mutants = {
    "MAC of answers and commands unchecked": (
        replaced(ev2.Session, "_checked", _no_mac),
        lambda: card.test_a_command_with_a_wrong_mac_costs_the_session(-1),
    ),
    "MAC of answers unchecked by the terminal": (
        replaced(ev2.Session, "_checked", _no_mac),
        lambda: dialogue.test_no_changed_answer_passes(4),
    ),
    "the card's proof of the key unchecked": (
        replaced(hmac, "compare_digest", constant(value=True)),
        dialogue.test_a_card_without_the_key_is_forged,
    ),
    "counter of commands not raised": (
        replaced(ev2.Session, "_count", constant(None)),
        card.test_a_command_said_twice_is_refused,
    ),
    "challenge used again": (
        replaced(DesfireCard, "__init__", _same_challenge),
        card.test_challenges_differ,
    ),
    "every right granted": (
        replaced(desfire, "_granted", constant(frozenset(range(14)))),
        lambda: making.test_what_a_stolen_terminal_cannot_do(2),
    ),
    "session survives an error": (
        replaced(DesfireCard, "_fail", constant(None)),
        lambda: card.test_a_command_with_a_wrong_mac_costs_the_session(-1),
    ),
    "debit real before commit": (
        replaced(Transaction, "_changed", _real_at_once),
        card.test_nothing_is_real_before_commit_and_all_of_it_after,
    ),
    "power lost, transaction kept": (
        replaced(
            Transaction,
            "abort",
            lambda original: lambda self: original(self) if not hasattr(self, "_pending") else None,
        ),
        card.test_nothing_is_real_before_commit_and_all_of_it_after,
    ),
    "transaction not counted": (replaced(Transaction, "_prove", _forgets_to_count), tap),
    "commit without the reader's id": (
        replaced(Transaction, "_prove", _needs_no_reader),
        lambda: making.test_what_a_stolen_terminal_cannot_do(2),
    ),
    "the record names another debit": (
        replaced(Record, "encode", constant(bytes(32))),
        lambda: dialogue.test_a_torn_debit_is_found_out_at_the_next_tap(4, answer_lost=True),
    ),
    "value read is left out of the proof": (
        replaced(Session, "get_value", _leaves_out),
        tap,
    ),
    "reader's id left out of the proof": (
        replaced(Session, "commit_reader_id", _leaves_out),
        tap,
    ),
    "every torn debit taken for moved": (
        replaced(purse, "resolve", constant(Fate.MOVED)),
        lambda: dialogue.test_a_torn_debit_is_found_out_at_the_next_tap(1, answer_lost=False),
    ),
    "every torn debit taken for not moved": (
        replaced(purse, "resolve", constant(Fate.NOT_MOVED)),
        lambda: dialogue.test_a_torn_debit_is_found_out_at_the_next_tap(4, answer_lost=True),
    ),
    "an old card not asked in the old way": (
        replaced(session, "ILLEGAL_COMMAND", lambda _original: 0xFF),
        dialogue.test_an_old_card_says_less,
    ),
    "checksum of a new key unchecked": (
        replaced(desfire_administration, "crc32", lambda original: lambda data: Anything()),
        card.test_keys_are_changed_both_ways_and_known_by_their_version,
    ),
    "a factory card's new key from a vector of zeros": (
        replaced(ev1.Session, "wrap_new_key", _from_zeros),
        from_the_factory,
    ),
    "checksum of a factory card's new key unchecked": (
        replaced(ev1.Session, "unwrap_new_key", _checksum_unread),
        factory.test_a_new_key_that_was_turned_or_cut_is_not_taken,
    ),
    "the kind of a new key not told": (
        replaced(personalise_desfire, "AES_KEY", instead(0)),
        from_the_factory,
    ),
    "the kind of a new key not kept": (
        replaced(Administration, "_change", _kind_stays),
        factory.test_kind_and_value_of_the_key_change_together,
    ),
    "triple DES keys not known from AES": (
        replaced(desfire_administration, "KEY_KIND", instead(0x80)),
        lambda: factory.test_the_number_says_that_the_new_key_is_aes(0xC0),
    ),
    "an unfinished key set rolled to": (
        replaced(Administration, "_roll_key_set", lambda _original: _rolls_anything),
        card.test_a_key_set_is_prepared_and_rolled_to,
    ),
    "limited credit without limit": (
        replaced(Transaction, "_changed", _gives_back_anything),
        card.test_a_limited_credit_gives_back_no_more_than_was_debited,
    ),
}


class Anything(bytes):
    """Equal to whatever it is compared with."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    def __hash__(self) -> int:
        return 0


def _rolls_anything(self: Administration, body: bytes) -> bytes:
    sets = self._application.key_sets
    sets[0], sets[body[0]] = sets[body[0]] or sets[0], None
    return b""
