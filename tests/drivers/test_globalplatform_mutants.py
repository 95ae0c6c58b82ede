"""Protections of a JavaCard's channel taken away one by one: a test sees each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from drivers.apdu import CommandApdu
from drivers.errors import (
    DriverError,
)
from drivers.secure_channel import external_authenticate, scp03
from drivers.virtual.cards.globalplatform import JavaCard
from drivers.virtual.cards.globalplatform_content import Content
from tests.drivers import test_globalplatform as dialogue
from tests.drivers.virtual import test_globalplatform as contract

# Mutants: each is one protection taken away; the named check sees it.


def card_cryptogram_not_checked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(external_authenticate, "compare_digest", lambda *_: True)


def failures_not_counted(patch: pytest.MonkeyPatch) -> None:
    whole = JavaCard._external_authenticate  # noqa: SLF001 - it is the mutant's

    def mutant(card: JavaCard, command: object) -> object:
        had = card.state.failures
        try:
            return whole(card, command)  # type: ignore[arg-type]
        finally:
            card.state.failures = had

    patch.setattr(JavaCard, "_external_authenticate", mutant)


def load_is_real_before_its_last_block(patch: pytest.MonkeyPatch) -> None:
    whole = Content.store_data

    def mutant(content: Content, command: CommandApdu) -> bytes:
        return whole(content, replace(command, p1=0x80))

    patch.setattr(Content, "store_data", mutant)


def chain_stands_still(patch: pytest.MonkeyPatch) -> None:
    whole = scp03.Session.open_command

    def mutant(session: scp03.Session, command: CommandApdu) -> CommandApdu:
        had = session.chain
        plain = whole(session, command)
        session.chain = had
        return plain

    patch.setattr(scp03.Session, "open_command", mutant)


def channel_not_asked_for(patch: pytest.MonkeyPatch) -> None:
    def mutant(card: JavaCard, command: object) -> object:
        return card._manage(command)  # type: ignore[arg-type]  # noqa: SLF001 - it is the mutant's

    patch.setattr(JavaCard, "_secured", mutant)


MUTANTS: dict[Callable[[pytest.MonkeyPatch], None], Callable[[], None]] = {
    card_cryptogram_not_checked: lambda: (
        contract.test_a_terminal_with_other_keys_notices_before_it_says_anything(3)
    ),
    failures_not_counted: lambda: contract.test_wrong_cryptograms_count_and_lock_the_domain(3),
    load_is_real_before_its_last_block: lambda: (
        dialogue.test_an_applet_is_loaded_installed_and_given_its_data(3, 0x33)
    ),
    chain_stands_still: lambda: contract.test_a_command_said_twice_ends_the_channel(3),
    channel_not_asked_for: lambda: contract.test_without_a_channel_nothing_is_managed(3),
}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_mutant_is_seen(
    mutant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    MUTANTS[mutant]()
    mutant(monkeypatch)
    with pytest.raises((AssertionError, DriverError, pytest.fail.Exception)):
        MUTANTS[mutant]()
