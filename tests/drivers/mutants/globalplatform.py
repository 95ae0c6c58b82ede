"""Faults of a JavaCard or of what manages it, and the test that sees each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from drivers.apdu import CommandApdu
from drivers.secure_channel import external_authenticate, scp03
from drivers.virtual.cards.globalplatform import JavaCard
from drivers.virtual.cards.globalplatform_content import Content
from tests.drivers import test_globalplatform as dialogue
from tests.drivers.planting import Mutants, constant, replaced
from tests.drivers.virtual import test_globalplatform as contract


def _forgets_failures(original: Any) -> Any:
    def authenticate(card: JavaCard, command: Any) -> Any:
        had = card.state.failures
        try:
            return original(card, command)
        finally:
            card.state.failures = had

    return authenticate


def _every_block_is_the_last(original: Any) -> Any:
    def store(content: Content, command: CommandApdu) -> bytes:
        stored: bytes = original(content, replace(command, p1=0x80))
        return stored

    return store


def _stands_still(original: Any) -> Any:
    def opened(session: scp03.Session, command: CommandApdu) -> CommandApdu:
        had = session.chain
        plain: CommandApdu = original(session, command)
        session.chain = had
        return plain

    return opened


MUTANTS: Mutants = {
    "the card's cryptogram unchecked": (
        replaced(external_authenticate, "compare_digest", constant(value=True)),
        lambda: contract.test_a_terminal_with_other_keys_notices_before_it_says_anything(3),
    ),
    "wrong cryptograms not counted": (
        replaced(JavaCard, "_external_authenticate", _forgets_failures),
        lambda: contract.test_wrong_cryptograms_count_and_lock_the_domain(3),
    ),
    "data real before its last block": (
        replaced(Content, "store_data", _every_block_is_the_last),
        lambda: dialogue.test_an_applet_is_loaded_installed_and_given_its_data(3, 0x33),
    ),
    "chain of MACs stands still": (
        replaced(scp03.Session, "open_command", _stands_still),
        lambda: contract.test_a_command_said_twice_ends_the_channel(3),
    ),
    "content managed without a channel": (
        replaced(JavaCard, "_secured", lambda _original: lambda card, said: card._manage(said)),  # noqa: SLF001
        lambda: contract.test_without_a_channel_nothing_is_managed(3),
    ),
}
