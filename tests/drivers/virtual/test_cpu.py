"""The software CPU card keeps its contract: rights, counters, file, keys."""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from drivers.virtual.cards.cpu import CpuCard
from drivers.virtual.cards.cpu_state import CpuState
from tests.drivers.virtual.technician import (
    ACTIVATE,
    ADMIN_KEY,
    CREDENTIAL,
    GENERATE_KEY_PAIR,
    GET_CHALLENGE,
    READ,
    SELECT,
    SERIAL,
    TRANSPORT_KEY,
    become_admin,
    blank_card,
    change_admin_key,
    external_authenticate,
    internal_authenticate,
    personalise,
    personalised_card,
    update,
)

NONCE = bytes(range(16))
OK = b"\x90\x00"


def status(answer: bytes) -> str:
    return answer[-2:].hex()


def say(card: CpuCard, apdu: str) -> str:
    return card.transmit(bytes.fromhex(apdu)).hex()


def selected(card: CpuCard) -> CpuCard:
    assert status(card.transmit(SELECT)) == "9000"
    return card


def verify(point: bytes, nonce: bytes, answer: bytes) -> int:
    """Check the proof of INTERNAL AUTHENTICATE and return its counter."""
    counter, r, s = answer[:4], answer[4:36], answer[36:68]
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    signature = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
    key.verify(signature, b"tapledger/card/1" + counter + nonce, ec.ECDSA(hashes.SHA256()))
    return int.from_bytes(counter, "big")


def test_the_answer_to_reset_checks_out() -> None:
    assert blank_card().atr.hex() == "3b8f800180738021c0595441504c45444745529d"
    assert blank_card(t0=True).atr.hex() == "3b0f8073802180595441504c4544474552"


def test_uids_are_seven_bytes_fixed_and_differ() -> None:
    uids = {CpuCard(CpuState.blank(bytes([n]) * 16, TRANSPORT_KEY)).uid for n in range(100)}
    assert len(uids) == 100
    assert all(len(uid) == 7 and uid[3] != 0x88 for uid in uids)
    assert blank_card().uid == blank_card().uid


def test_select_tells_version_lifecycle_and_serial() -> None:
    card = blank_card()
    fci = "6f27840bf05441504c454447455201a518800101" + "8101{:02x}8210" + SERIAL.hex() + "9000"
    assert card.transmit(SELECT).hex() == fci.format(0)
    personalise(card.transmit)
    assert card.transmit(SELECT).hex() == fci.format(1)


@pytest.mark.parametrize(
    ("apdu", "answer"),
    [
        ("00A40400", "6a82"),
        ("00A4040007A000000003101000", "6a82"),
        ("00A4000000", "6a86"),
        ("00B0810000", "6985"),
        ("0084000010", "6985"),
        ("80A40400", "6e00"),
        ("00A4", "6700"),
        ("", "6700"),
    ],
)
def test_before_selection_nothing_else_runs(apdu: str, answer: str) -> None:
    assert say(personalised_card(), apdu) == answer


@pytest.mark.parametrize(
    ("apdu", "answer"),
    [
        ("00FE0000", "6d00"),
        ("108400", "6700"),
        ("1084000010", "6884"),
        ("0088000010" + NONCE.hex(), "6700"),
        ("0088000010" + NONCE.hex() + "10", "6c44"),
        ("0088000008" + NONCE.hex()[:16] + "00", "6700"),
        ("0088000110" + NONCE.hex() + "00", "6a86"),
        ("0084000008", "6c10"),
        ("00840000", "6700"),
        ("00B08100", "6700"),
        ("00B0820000", "6a82"),
        ("00B0E10000", "6a86"),
        ("00B0000000", "6986"),
        ("00C0000010", "6985"),
        ("0082000110" + NONCE.hex(), "6985"),
        ("0047800000", "6982"),
        ("00D6810001AA", "6982"),
        ("0024010118" + "00" * 24, "6982"),
        ("00440000", "6982"),
    ],
)
def test_refusals_name_their_reason(apdu: str, answer: str) -> None:
    assert say(selected(personalised_card()), apdu) == answer


def test_reading_the_credential_in_pieces_and_past_the_end() -> None:
    card = selected(personalised_card())
    assert card.transmit(READ) == CREDENTIAL[:256] + OK
    assert say(card, "00B0010000") == CREDENTIAL[256:].hex() + "6282"
    assert say(card, "00B001002E") == CREDENTIAL[256:].hex() + "9000"
    assert say(card, "00B0012E00") == "6282"
    assert say(card, "00B0012F00") == "6b00"
    assert say(card, "00B08100000000") == CREDENTIAL.hex() + "6282"
    assert say(card, "00B0810000012E") == CREDENTIAL.hex() + "9000"


def test_each_proof_is_signed_over_the_nonce_and_the_next_counter() -> None:
    card = blank_card()
    point = personalise(card.transmit)
    answers = [card.transmit(internal_authenticate(NONCE)) for _ in range(3)]
    assert [verify(point, NONCE, answer) for answer in answers] == [1, 2, 3]
    with pytest.raises(InvalidSignature):
        verify(point, bytes(16), answers[0])


def test_the_counter_is_stored_before_the_card_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    card = selected(personalised_card())
    stored: list[int] = []

    class Pen:
        def sign(self, *_: object) -> bytes:
            stored.append(CpuState.load(card.state.dump()).counter)
            return encode_dss_signature(1, 1)

    monkeypatch.setattr(card, "_key", Pen())
    card.transmit(internal_authenticate(NONCE))
    assert stored == [1]


def test_a_card_that_signed_for_the_last_time_refuses() -> None:
    card = selected(personalised_card())
    card.state.counter = 0xFFFFFFFE
    assert status(card.transmit(internal_authenticate(NONCE))) == "9000"
    assert status(card.transmit(internal_authenticate(NONCE))) == "6985"
    assert card.state.counter == 0xFFFFFFFF


def test_a_blank_card_cannot_prove_itself() -> None:
    card = selected(blank_card())
    assert card.transmit(internal_authenticate(NONCE)).hex() == "6985"
    assert card.state.counter == 0
    assert say(card, "00B0810000") == "6282"


def test_a_challenge_serves_one_answer() -> None:
    card = selected(personalised_card())
    challenge = card.transmit(GET_CHALLENGE)[:-2]
    right = external_authenticate(ADMIN_KEY, challenge)
    assert status(card.transmit(right)) == "9000"
    assert status(card.transmit(right)) == "6985"
    assert status(card.transmit(update(0, b"\x00"))) == "6982"


def test_wrong_answers_run_out_and_a_right_one_restores_the_tries() -> None:
    card = selected(personalised_card())

    def attempt(key: bytes) -> str:
        return status(card.transmit(external_authenticate(key, card.transmit(GET_CHALLENGE)[:-2])))

    assert [attempt(TRANSPORT_KEY) for _ in range(2)] == ["63c4", "63c3"]
    assert attempt(ADMIN_KEY) == "9000"
    assert [attempt(TRANSPORT_KEY) for _ in range(5)] == ["63c4", "63c3", "63c2", "63c1", "63c0"]
    assert attempt(ADMIN_KEY) == "6983"
    again = selected(CpuCard(CpuState.load(card.state.dump())))
    challenge = again.transmit(GET_CHALLENGE)[:-2]
    assert status(again.transmit(external_authenticate(ADMIN_KEY, challenge))) == "6983"


@pytest.mark.parametrize("end", ["reset", "select", "activate", "wrong"])
def test_admin_rights_end(end: str) -> None:
    card = selected(personalised_card())
    become_admin(card.transmit, ADMIN_KEY)
    assert card.transmit(update(0, CREDENTIAL[:2])) == OK
    if end == "reset":
        card.reset()
    elif end == "wrong":
        challenge = card.transmit(GET_CHALLENGE)[:-2]
        card.transmit(external_authenticate(TRANSPORT_KEY, challenge))
    elif end == "activate":
        assert card.transmit(ACTIVATE) == OK
    selected(card) if end in {"reset", "select"} else None
    for command in (update(0, b"\x00"), GENERATE_KEY_PAIR, ACTIVATE):
        assert card.transmit(command).hex() == "6982"
    assert card.transmit(change_admin_key(ADMIN_KEY, TRANSPORT_KEY)).hex() == "6982"


def test_the_transport_key_is_gone_after_personalisation() -> None:
    card = selected(personalised_card())
    challenge = card.transmit(GET_CHALLENGE)[:-2]
    assert status(card.transmit(external_authenticate(TRANSPORT_KEY, challenge))) == "63c4"


def test_a_key_wrapped_under_another_key_is_refused() -> None:
    card = selected(personalised_card())
    become_admin(card.transmit, ADMIN_KEY)
    assert card.transmit(change_admin_key(TRANSPORT_KEY, bytes(16))).hex() == "6a80"
    assert card.state.admin_key == ADMIN_KEY


def test_a_card_without_key_or_credential_is_not_activated() -> None:
    card = selected(blank_card())
    become_admin(card.transmit, TRANSPORT_KEY)
    assert card.transmit(ACTIVATE).hex() == "6985"
    card.transmit(GENERATE_KEY_PAIR)
    assert card.transmit(ACTIVATE).hex() == "6985"
    card.transmit(update(0, CREDENTIAL))
    assert card.transmit(ACTIVATE) == OK


def test_a_chain_writes_as_one_command_and_breaks_on_a_stranger() -> None:
    card = selected(personalised_card())
    become_admin(card.transmit, ADMIN_KEY)
    assert say(card, "10D6810002AABB") == "9000"
    assert card.state.file == CREDENTIAL
    assert say(card, "00D6810002CCDD") == "9000"
    assert card.state.file == bytes.fromhex("AABBCCDD") + CREDENTIAL[4:]
    assert say(card, "10D6810001EE") == "9000"
    assert say(card, "00B0810001") == "6883"
    assert say(card, "00D6810001FF") == "9000"
    assert card.state.file[:2] == bytes.fromhex("FFBB")
    links = [status(card.transmit(bytes.fromhex("10D68100FF") + bytes(255))) for _ in range(9)]
    assert links == ["9000"] * 8 + ["6700"]
    assert card.transmit(b"\x00\xd6\x07\xff\x02\x00\x00").hex() == "6b00"


def test_the_file_does_not_grow_beyond_the_card() -> None:
    card = selected(personalised_card())
    become_admin(card.transmit, ADMIN_KEY)
    assert card.transmit(update(0, bytes(2048))) == OK
    assert card.transmit(update(1, bytes(2048))).hex() == "6a84"
    assert card.state.file == bytes(2048)


def test_a_card_survives_a_restart_with_all_that_it_stored() -> None:
    card = blank_card()
    point = personalise(card.transmit)
    card.transmit(internal_authenticate(NONCE))
    again = CpuCard(CpuState.load(card.state.dump()))
    assert again.state == card.state
    assert again.uid == card.uid
    selected(again)
    assert again.transmit(READ) == CREDENTIAL[:256] + OK
    assert verify(point, NONCE, again.transmit(internal_authenticate(NONCE))) == 2


@pytest.mark.parametrize(("serial", "key"), [(bytes(15), bytes(16)), (bytes(16), bytes(17))])
def test_a_blank_needs_a_whole_serial_and_key(serial: bytes, key: bytes) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        CpuState.blank(serial, key)
