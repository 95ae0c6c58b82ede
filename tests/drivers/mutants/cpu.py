"""Faults of a CPU card with our applet or its terminal, and the test that sees each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace as replaced_in
from typing import Any

from msgspec.structs import replace as with_fields

from drivers.cards import cpu as family
from drivers.errors import CardExpired, CardForeign
from drivers.virtual.cards import cpu
from drivers.virtual.cards.cpu import CpuCard
from protocol.signing import Ed25519Verifier, P256Verifier
from tests.drivers import test_cpu_dialogue as dialogue
from tests.drivers.planting import Mutants, constant, instead, replaced
from tests.drivers.virtual import test_cpu as contract
from tests.drivers.world import TENANT, TODAY, TRUST, on_day, serial


def _says(**fields: Any) -> Callable[[Any], Any]:
    """Whatever the credential says, the terminal reads this."""
    return lambda original: lambda *given: with_fields(original(*given), **fields)


def _with_command(**fields: Any) -> Callable[[Any], Any]:
    """Whatever the command says, the card reads this."""
    return lambda original: lambda card, said: original(card, replaced_in(said, **fields))


def _counter_stands(original: Any) -> Any:
    def authenticate(card: CpuCard, command: Any) -> Any:
        card.state.counter = 0
        return original(card, command)

    return authenticate


def _keeps_challenge(original: Any) -> Any:
    def authenticate(card: CpuCard, command: Any) -> Any:
        kept = card._challenge  # noqa: SLF001
        try:
            return original(card, command)
        finally:
            card._challenge = kept  # noqa: SLF001

    return authenticate


MUTANTS: Mutants = {
    "signature of the challenge unchecked": (
        replaced(P256Verifier, "verify", constant(None)),
        dialogue.test_a_copied_file_without_the_key_is_forged,
    ),
    "signature of the credential unchecked": (
        replaced(Ed25519Verifier, "verify", constant(None)),
        dialogue.test_no_turned_bit_of_the_credential_passes,
    ),
    "credential of another card taken": (
        replaced(family, "accept", _says(card_id=serial(1))),
        dialogue.test_the_credential_of_another_card_is_forged,
    ),
    "credential of another tenant taken": (
        replaced(family, "accept", _says(tenant="elsewhere")),
        lambda: dialogue.test_a_card_that_is_not_for_here(
            replaced_in(TRUST, tenant="elsewhere"), CardForeign
        ),
    ),
    "last day not looked at": (
        replaced(family, "accept", _says(expires_day=TODAY + 100, tenant=TENANT)),
        lambda: dialogue.test_a_card_that_is_not_for_here(on_day(TODAY + 2), CardExpired),
    ),
    "the card signs the same nonce at each tap": (
        replaced(CpuCard, "_internal_authenticate", _with_command(data=bytes(16))),
        dialogue.test_a_member_card_proves_itself_in_three_commands,
    ),
    "counter of taps not raised": (
        replaced(CpuCard, "_internal_authenticate", _counter_stands),
        dialogue.test_a_member_card_proves_itself_in_three_commands,
    ),
    "challenge used again": (
        replaced(CpuCard, "_external_authenticate", _keeps_challenge),
        contract.test_a_challenge_serves_one_answer,
    ),
    "wrong keys not counted": (
        replaced(cpu, "ADMIN_TRIES", instead(1000)),
        contract.test_wrong_answers_run_out_and_a_right_one_restores_the_tries,
    ),
    "anybody may write": (
        replaced(CpuCard, "_require_admin", constant(None)),
        lambda: contract.test_admin_rights_end("reset"),
    ),
}
