"""A phone's code holds in its time, once, and for its tenant; every other text is refused."""

from __future__ import annotations

from hashlib import sha256

import pytest
import segno
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from protocol import base45
from protocol.credential import Credential
from protocol.credential import issue as issue_card
from protocol.errors import (
    BadSignature,
    CodeExpired,
    CodeForeign,
    CodeStale,
    CodeUsed,
    Malformed,
    ProtocolError,
    TooLarge,
    UnknownKey,
)
from protocol.qr_credential import (
    CHARACTERS_MAX,
    PREFIX,
    REMEMBERED_MAX,
    SLOT_S,
    USES_IN_SLOT_MAX,
    Shown,
    Verified,
    check_proof,
    issue,
    show,
    verify,
)
from protocol.signing import Ed25519Signer
from tests.protocol.phone import (
    CREDENTIAL,
    ISSUER,
    ISSUERS,
    NONCE,
    NOW_S,
    PHONE,
    TENANT,
    TODAY,
    code,
    phone_key,
)


def verified(text: str, now_s: int = NOW_S) -> Verified:
    return verify(text, ISSUERS, TENANT, now_s)


def changed(text: str, at: int, mask: int) -> str:
    """The code with some bits of one byte turned."""
    data = bytearray(base45.decode(text.removeprefix(PREFIX)))
    data[at % len(data)] ^= mask
    return PREFIX + base45.encode(bytes(data))


def test_a_code_says_who_it_is_and_proves_it_again() -> None:
    found = verified(code())
    assert found.credential == CREDENTIAL
    assert (found.slot, found.nonce) == (NOW_S // SLOT_S, NONCE)
    issued = issue(CREDENTIAL, ISSUER)
    assert check_proof(CREDENTIAL, issued, found.proof) == found.slot
    assert found.proof.startswith(sha256(issued).digest())
    with pytest.raises(BadSignature):
        check_proof(CREDENTIAL, issue(CREDENTIAL, Ed25519Signer(bytes(32))), found.proof)
    with pytest.raises(BadSignature):
        check_proof(CREDENTIAL, issued, found.proof[:-1] + bytes((found.proof[-1] ^ 1,)))


@pytest.mark.parametrize(("tenant", "version"), [(TENANT, 12), ("x" * 40, 13)])
def test_a_code_is_small_enough_for_a_cheap_scanner(tenant: str, version: int) -> None:
    text = code(tenant=tenant)
    symbol = segno.make(text, error="m", boost_error=False)
    assert symbol.mode == "alphanumeric"
    assert (len(text) <= CHARACTERS_MAX, symbol.version) == (True, version)


@pytest.mark.parametrize("slots", [-1, 0, 1])
def test_a_code_holds_one_slot_either_side(slots: int) -> None:
    assert verified(code(), NOW_S + slots * SLOT_S)


@pytest.mark.parametrize("seconds", [-2 * SLOT_S, -SLOT_S - 1, 2 * SLOT_S, 86_400])
def test_a_code_of_another_time_is_stale(seconds: int) -> None:
    with pytest.raises(CodeStale):
        verified(code(NOW_S), NOW_S + seconds)


def test_the_last_day_still_counts() -> None:
    assert verified(code(expires_day=TODAY))
    with pytest.raises(CodeExpired):
        verified(code(expires_day=TODAY - 1))


def test_a_code_of_another_tenant_is_foreign() -> None:
    with pytest.raises(CodeForeign):
        verified(code(tenant="mall"))


def test_an_issuer_that_nobody_trusts_is_refused() -> None:
    forged = issue(CREDENTIAL, Ed25519Signer(bytes(32)))
    with pytest.raises(UnknownKey):
        verified(show(forged, PHONE, NOW_S, NONCE))


def test_who_calls_himself_an_issuer_is_refused() -> None:
    impostor = Ed25519Signer(bytes(32))
    impostor.key_id = ISSUER.key_id
    with pytest.raises(BadSignature):
        verified(show(issue(CREDENTIAL, impostor), PHONE, NOW_S, NONCE))


def test_another_phone_cannot_show_the_card() -> None:
    with pytest.raises(BadSignature):
        verified(show(issue(CREDENTIAL, ISSUER), phone_key(2), NOW_S, NONCE))


def test_the_credential_of_a_plastic_card_is_none_of_a_phone() -> None:
    plastic = Credential(
        card_id=bytes(16),
        public_key=PHONE.verifier.public,
        tenant=TENANT,
        issued_day=TODAY,
        expires_day=TODAY,
    )
    with pytest.raises(BadSignature):
        verified(show(issue_card(plastic, ISSUER), PHONE, NOW_S, NONCE))


@given(at=st.integers(0, 10_000), mask=st.integers(1, 255))
def test_no_byte_of_a_code_can_be_changed(at: int, mask: int) -> None:
    with pytest.raises(ProtocolError):
        verified(changed(code(), at, mask))


@given(
    st.text(max_size=600) | st.binary(max_size=300).map(lambda data: PREFIX + base45.encode(data))
)
def test_any_text_is_refused_with_an_error_of_ours(text: str) -> None:
    with pytest.raises(ProtocolError):
        verified(text)


def test_what_is_too_long_is_not_even_read() -> None:
    assert verified(code())
    with pytest.raises(TooLarge):
        verified(PREFIX + "0" * CHARACTERS_MAX)
    with pytest.raises(TooLarge):
        verified(code() + " " * CHARACTERS_MAX)


@pytest.mark.parametrize(
    "hostile", ["81" * 300, "c4821b7fffffffffffffff01", "d81e820100", "bf" * 90]
)
def test_cbor_that_bites_is_malformed(hostile: str) -> None:
    with pytest.raises(Malformed):
        verified(PREFIX + base45.encode(bytes.fromhex(hostile)))


def test_a_code_is_taken_once() -> None:
    shown = Shown()
    shown.admit(verified(code()), NOW_S)
    for later in (0, SLOT_S):
        with pytest.raises(CodeUsed):
            shown.admit(verified(code(), NOW_S + later), NOW_S + later)
    shown.admit(verified(code(NOW_S + SLOT_S)), NOW_S + SLOT_S)
    with pytest.raises(CodeUsed):  # photographed before, never shown, and older than the last one
        shown.admit(verified(code(nonce=b"\x01" * 8)), NOW_S)


def test_a_phone_may_draw_anew_within_its_slot_and_each_is_taken_once() -> None:
    shown = Shown()
    codes = [verified(code(nonce=bytes((number,)) * 8)) for number in range(USES_IN_SLOT_MAX + 1)]
    for each in codes[:-1]:
        shown.admit(each, NOW_S)
    for each in codes:
        with pytest.raises(CodeUsed):
            shown.admit(each, NOW_S)


def test_a_program_that_starts_takes_nothing_that_its_predecessor_may_have_taken() -> None:
    shown = Shown(since_s=NOW_S)
    with pytest.raises(CodeUsed):
        shown.admit(verified(code()), NOW_S)
    shown.admit(verified(code(NOW_S + SLOT_S)), NOW_S + SLOT_S)


def test_a_clock_set_back_lets_no_code_in_again() -> None:
    shown = Shown()
    shown.admit(verified(code()), NOW_S)
    shown.admit(other_phone(1, NOW_S + 1_000), NOW_S + 1_000)
    with pytest.raises(CodeUsed):
        shown.admit(verified(code()), NOW_S)


def test_the_memory_is_bounded_and_forgets_what_is_over() -> None:
    shown = Shown()
    for number in range(REMEMBERED_MAX):
        shown.admit(other_phone(number, NOW_S), NOW_S)
    with pytest.raises(CodeUsed):
        shown.admit(other_phone(REMEMBERED_MAX, NOW_S), NOW_S)
    later = NOW_S + 3 * SLOT_S
    shown.admit(other_phone(REMEMBERED_MAX, later), later)


def other_phone(number: int, now_s: int) -> Verified:
    """A verified code of one of many phones."""
    credential = replace(CREDENTIAL, credential_id=number.to_bytes(16, "big"))
    return Verified(credential, now_s // SLOT_S, NONCE, b"")
