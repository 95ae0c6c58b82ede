"""Faults of a terminal that takes codes from phones, and the test that sees each."""

from __future__ import annotations

from protocol import qr_credential as code
from protocol.qr_credential import SLOT_S, Shown
from protocol.signing import Ed25519Verifier, P256Verifier
from tests.drivers.planting import Mutants, constant, instead, replaced
from tests.protocol import test_qr_credential as contract

MUTANTS: Mutants = {
    "a code shown before taken again": (
        replaced(Shown, "admit", constant(None)),
        contract.test_a_code_is_taken_once,
    ),
    "the phone's signature unchecked": (
        replaced(P256Verifier, "verify", constant(None)),
        contract.test_another_phone_cannot_show_the_card,
    ),
    "the issuer's signature unchecked": (
        replaced(Ed25519Verifier, "verify", constant(None)),
        contract.test_who_calls_himself_an_issuer_is_refused,
    ),
    "a code of any time taken": (
        replaced(code, "SLOTS_OFF", instead(2)),
        lambda: contract.test_a_code_of_another_time_is_stale(2 * SLOT_S),
    ),
    "what a start may have forgotten taken again": (
        replaced(Shown, "__init__", lambda original: lambda self, since_s=0: original(self)),
        contract.test_a_program_that_starts_takes_nothing_that_its_predecessor_may_have_taken,
    ),
}
