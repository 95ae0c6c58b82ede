"""A code on a phone becomes an identity once, and says why when it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drivers.card import CardIdentity, CardTrust, CodeTrust
from drivers.cards.qr_credential import FAMILY, identify
from drivers.errors import (
    CardExpired,
    CardForeign,
    CardForged,
    CardUnknown,
    CodeStale,
    CodeUsed,
    DriverError,
)
from drivers.reader import Presented, Technology
from protocol.credential import card_reference
from protocol.qr_credential import SLOT_S, Shown
from protocol.record import CardClass
from tests.drivers.frame_world import FrameReader, check_transcript, transcript
from tests.drivers.world import NONCE, TRUST, examiner
from tests.protocol.phone import CREDENTIAL, NOW_S, code


def trust(now_s: int = NOW_S) -> CardTrust:
    """The terminal's trust with nothing shown yet."""
    return replace(TRUST, codes=CodeTrust(now_s, Shown()))


def shown(text: str) -> Presented:
    return Presented("scanner", b"", technology=Technology.QR, text=text)


def outcome(text: str, trusted: CardTrust) -> CardIdentity:
    with pytest.raises(StopIteration) as stopped:
        next(identify(trusted, shown(text), NONCE))
    found: CardIdentity = stopped.value.value
    return found


def test_a_code_is_a_secure_card_that_is_asked_nothing() -> None:
    identity = outcome(code(), trust())
    assert identity.reference == card_reference(TRUST.reference_key, FAMILY, CREDENTIAL.card_id)
    assert identity.assurance is CardClass.SECURE
    assert identity.counter == NOW_S // SLOT_S
    assert len(identity.proof) <= 256  # what a record holds
    check_transcript("qr_credential/code.txt", transcript("A code on a phone.", [], identity))


def test_a_renewed_phone_is_the_same_card() -> None:
    renewed = code(credential_id=bytes(16), expires_day=CREDENTIAL.expires_day + 100)
    assert outcome(renewed, trust()).reference == outcome(code(), trust()).reference


def test_a_code_shown_twice_is_used_up() -> None:
    trusted = trust()
    outcome(code(), trusted)
    with pytest.raises(CodeUsed):
        next(identify(trusted, shown(code()), NONCE))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", CardUnknown),
        ("https://example.com/menu", CardUnknown),
        ("4006381333931", CardUnknown),
        ("TL1:", CardForged),
        (code()[:-3], CardForged),
        (code(tenant="mall"), CardForeign),
        (code(expires_day=1), CardExpired),
        (code(NOW_S - 2 * SLOT_S), CodeStale),
        (code(NOW_S + 2 * SLOT_S), CodeStale),
    ],
)
def test_each_text_that_is_no_card_says_why(text: str, problem: type[DriverError]) -> None:
    with pytest.raises(problem):
        next(identify(trust(), shown(text), NONCE))


def test_a_terminal_without_a_clock_for_codes_takes_none() -> None:
    with pytest.raises(CardForeign):
        next(identify(TRUST, shown(code()), NONCE))


def test_no_other_family_takes_a_text() -> None:
    reader = FrameReader(card=None)  # type: ignore[arg-type]  # nothing is said to it
    asked = examiner(trust())
    assert asked.identify(reader, shown(code())).family == FAMILY
    with pytest.raises(CardUnknown):
        asked.identify(reader, shown("4006381333931"))
    assert not reader.said
