"""The CPU card's dialogue: over transcripts, over the software card, and over every wrong card."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.apdu import ResponseApdu, transmit
from drivers.card import CardIdentity, CardTrust
from drivers.cards.cpu import (
    CARD,
    CREDENTIAL_BYTES_MAX,
    check_answer,
    identify,
    read_credential,
    select,
)
from drivers.errors import (
    CardBlank,
    CardExpired,
    CardForeign,
    CardForged,
    CardGone,
    CardRefused,
    CardUnknown,
    DriverError,
)
from drivers.exchange import Deadlines, hold
from protocol.credential import issue
from protocol.record import CardClass
from protocol.signing import Ed25519Signer
from tests.drivers.world import (
    NONCE,
    PRESENTED,
    TODAY,
    TRUST,
    DirectReader,
    blank_card,
    credential_of,
    member_card,
    on_day,
    reference,
    signed_credential,
)

TRANSCRIPTS = sorted((Path(__file__).parents[1] / "transcripts" / "cpu").glob("*.txt"))


def ask(reader: DirectReader, trust: CardTrust = TRUST, nonce: bytes = NONCE) -> CardIdentity:
    """Hold the dialogue with the card on the reader."""
    reader.card.reset()
    dialogue = identify(trust, PRESENTED, nonce)
    return hold(dialogue, reader, Deadlines(), time.monotonic, extended=reader.extended)


@dataclass
class Transcript:
    """A recorded dialogue: what was known, what went over the line, how it ended."""

    known: dict[str, str]
    exchanges: Iterator[tuple[bytes, bytes]]

    @classmethod
    def read(cls, path: Path) -> Transcript:
        lines = path.read_text().splitlines()
        known = dict(line[2:].split(": ", 1) for line in lines if ": " in line)
        said = [bytes.fromhex(line[2:]) for line in lines if line[0] in "><"]
        return cls(known, zip(said[::2], said[1::2], strict=True))

    def send(self, command: bytes) -> bytes:
        expected, answer = next(self.exchanges)
        assert command.hex() == expected.hex()
        return answer

    def outcome(self) -> str:
        """Replay it; return the card's reference and counter, or the code of the problem."""
        dialogue = identify(
            on_day(int(self.known["day"])), PRESENTED, bytes.fromhex(self.known["nonce"])
        )
        extended = self.known["extended"] == "true"
        try:
            command = next(dialogue)
            while True:
                command = dialogue.send(transmit(command, self.send, extended=extended))
        except StopIteration as finished:
            identity: CardIdentity = finished.value
            return f"{identity.reference.hex()} {identity.counter}"
        except DriverError as problem:
            return problem.code


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_a_recorded_card_is_still_understood(path: Path) -> None:
    transcript = Transcript.read(path)
    assert transcript.outcome() == transcript.known["outcome"]
    assert next(transcript.exchanges, None) is None


def test_the_recorded_dialogues_are_there() -> None:
    assert {path.stem for path in TRANSCRIPTS} >= {"contactless", "t0", "blank", "expired"}


def test_a_member_card_proves_itself_in_three_commands() -> None:
    reader = DirectReader(member_card(1))
    identity = ask(reader)
    assert identity.family == CARD.name
    assert identity.assurance is CardClass.SECURE
    assert identity.reference == reference(1)
    assert [command[1] for command in reader.sent] == [0xA4, 0xB0, 0x88]
    assert ask(reader).counter == (identity.counter or 0) + 1


def test_the_proof_can_be_checked_again_by_its_layout() -> None:
    keys: list[bytes] = []

    def keep(card_serial: bytes, public_key: bytes) -> bytes:
        keys.append(public_key)
        return signed_credential(card_serial, public_key)

    identity = ask(DirectReader(member_card(1, keep)))
    proof = identity.proof or b""
    assert len(proof) == 84
    assert proof[:16] == NONCE
    assert int.from_bytes(proof[16:20], "big") == identity.counter
    check_answer(keys[0], NONCE, proof[16:])
    with pytest.raises(CardForged):
        check_answer(keys[0], bytes(16), proof[16:])


def test_no_raw_number_leaves() -> None:
    card = member_card(1)
    text = repr(ask(DirectReader(card)))
    for secret in (card.state.serial, card.uid):
        assert secret.hex() not in text
        assert repr(secret)[2:-1] not in text


def test_a_t0_card_is_read_by_get_response() -> None:
    reader = DirectReader(member_card(1, t0=True))
    assert ask(reader).reference == reference(1)
    assert 0xC0 in [command[1] for command in reader.sent]


@pytest.mark.parametrize(
    ("size", "extended", "commands"),
    [(0, False, 1), (254, False, 1), (255, False, 2), (600, False, 3), (600, True, 1)],
)
def test_a_file_is_read_in_as_few_commands_as_possible(
    size: int,
    extended: bool,  # noqa: FBT001
    commands: int,
) -> None:
    card = member_card(1)
    content = os.urandom(size)
    card.state.file = len(content).to_bytes(2, "big") + content
    reader = DirectReader(card, extended=extended)
    hold(select(), reader, Deadlines(), time.monotonic, extended=extended)
    read = hold(read_credential(), reader, Deadlines(), time.monotonic, extended=extended)
    assert read == content
    assert len(reader.sent) == 1 + commands


@pytest.mark.parametrize(
    ("trust", "error"),
    [
        (replace(TRUST, tenant="elsewhere"), CardForeign),
        (replace(TRUST, issuers={}), CardForged),
        (on_day(TODAY + 2), CardExpired),
    ],
)
def test_a_card_that_is_not_for_here(trust: CardTrust, error: type[DriverError]) -> None:
    reader = DirectReader(member_card(1))
    with pytest.raises(error):
        ask(reader, trust)
    assert 0x88 not in [command[1] for command in reader.sent]


def test_a_card_is_good_through_its_last_day() -> None:
    assert ask(DirectReader(member_card(1)), on_day(TODAY + 1)).reference == reference(1)


def test_a_blank_card_says_so() -> None:
    with pytest.raises(CardBlank):
        ask(DirectReader(blank_card()))


def test_a_credential_by_another_issuer_is_forged() -> None:
    stranger = Ed25519Signer(bytes(32))
    forged = member_card(1, lambda *card: issue(credential_of(*card), stranger))
    with pytest.raises(CardForged, match="unknown_key"):
        ask(DirectReader(forged))


def test_the_credential_of_another_card_is_forged() -> None:
    copied = member_card(1, lambda _, key: signed_credential(bytes(16), key))
    with pytest.raises(CardForged, match="another card"):
        ask(DirectReader(copied))


def test_a_copied_file_without_the_key_is_forged() -> None:
    clone, victim = member_card(1), member_card(1)
    clone.state.file = victim.state.file
    with pytest.raises(CardForged, match="signature"):
        ask(DirectReader(clone))


def test_no_turned_bit_of_the_credential_passes() -> None:
    card = member_card(1)
    whole = card.state.file
    for at in range(2, len(whole)):
        card.state.file = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        with pytest.raises(CardForged):
            ask(DirectReader(card))


@pytest.mark.parametrize("length", [0, 1, CREDENTIAL_BYTES_MAX + 1, 0xFFFF])
def test_a_file_of_a_wrong_length_ends_in_a_clear_error(length: int) -> None:
    card = member_card(1)
    card.state.file = length.to_bytes(2, "big") + card.state.file[2:]
    with pytest.raises((CardForged, CardRefused)):
        ask(DirectReader(card))


@pytest.mark.parametrize("apdu", [1, 2, 3])
@pytest.mark.parametrize("answer_lost", [False, True])
def test_a_card_torn_away_at_any_command(apdu: int, answer_lost: bool) -> None:  # noqa: FBT001
    reader = DirectReader(member_card(1))
    reader.faults.cut_after(apdu, answer_lost=answer_lost)
    with pytest.raises(CardGone):
        ask(reader)
    assert len(reader.sent) == apdu
    assert ask(reader).reference == reference(1)


class Stranger:
    """A card that answers each command with the next of some bytes."""

    atr = uid = historical = b""

    def __init__(self, answers: list[bytes]) -> None:
        self._answers = iter(answers)

    def reset(self) -> None:
        """It keeps nothing."""

    def transmit(self, apdu: bytes) -> bytes:
        del apdu
        return next(self._answers, b"\x6f\x00")


GOOD_FCI = bytes.fromhex("6F27840BF05441504C454447455201A5188001018101018210")


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=300), max_size=6))
def test_garbage_from_a_card_is_a_driver_error(answers: list[bytes]) -> None:
    fci = GOOD_FCI + bytes(16) + b"\x90\x00"
    for first in ([], [fci], [fci, bytes.fromhex("0004") + bytes(4) + b"\x90\x00"]):
        with pytest.raises(DriverError):
            ask(DirectReader(Stranger(first + answers)))


def test_a_card_that_gives_nothing_is_not_asked_for_ever() -> None:
    beginning = [GOOD_FCI + bytes(16) + b"\x90\x00", b"\x03\x00" + bytes(254) + b"\x90\x00"]
    reader = DirectReader(Stranger(beginning + [b"\x90\x00"] * 10))
    with pytest.raises(CardRefused, match="read the credential"):
        ask(reader)
    assert len(reader.sent) == 3


def test_an_application_of_another_version_is_unknown() -> None:
    other = (GOOD_FCI + bytes(16)).replace(bytes.fromhex("800101"), bytes.fromhex("800102"))
    dialogue = identify(TRUST, PRESENTED, NONCE)
    next(dialogue)
    with pytest.raises(CardUnknown):
        dialogue.send(ResponseApdu(other, 0x9000))
