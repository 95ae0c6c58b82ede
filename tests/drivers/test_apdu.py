"""Commands and responses as bytes: lengths, chaining, 61xx and 6Cxx, and a card's nonsense."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.apdu import (
    CommandApdu,
    ResponseApdu,
    refused,
    status_name,
    tpdu_t0,
    transmit,
)
from drivers.errors import CardRefused
from drivers.virtual.command import parse

LONG = bytes(range(256)) * 2


@pytest.mark.parametrize(
    ("command", "short", "extended"),
    [
        (CommandApdu(0, 0x44, 0, 0), "00440000", "00440000"),
        (CommandApdu(0, 0x84, 0, 0, ne=16), "0084000010", "0084000010"),
        (CommandApdu(0, 0x84, 0, 0, ne=256), "0084000000", "0084000000"),
        (CommandApdu(0, 0xB0, 1, 2, ne=257), "00B0010200", "00B00102000101"),
        (CommandApdu(0, 0xB0, 1, 2, ne=65536), "00B0010200", "00B00102000000"),
        (CommandApdu(0, 0xD6, 0, 0, b"\xaa"), "00D6000001AA", "00D6000001AA"),
        (CommandApdu(0, 0x88, 0, 0, b"\xaa", 256), "0088000001AA00", "0088000001AA00"),
        (CommandApdu(0, 0x88, 0, 0, b"\xaa", 300), "0088000001AA00", "00880000000001AA012C"),
    ],
)
def test_a_command_is_encoded_short_where_that_says_it(
    command: CommandApdu, short: str, extended: str
) -> None:
    assert command.encode().hex().upper() == short
    assert command.encode(extended=True).hex().upper() == extended


def test_long_data_needs_extended_length() -> None:
    command = CommandApdu(0, 0xD6, 0, 0, LONG)
    assert command.encode(extended=True) == bytes.fromhex("00D60000 000200") + LONG
    with pytest.raises(ValueError, match="chaining"):
        command.encode()


@given(
    header=st.binary(min_size=4, max_size=4),
    data=st.binary(max_size=600),
    ne=st.none() | st.integers(1, 65536),
)
def test_a_card_reads_the_command_that_was_meant(
    header: bytes, data: bytes, ne: int | None
) -> None:
    cla, ins, p1, p2 = header
    read = parse(CommandApdu(cla, ins, p1, p2, data, ne).encode(extended=True))
    assert (read.data, read.ne) == (data, ne)


@pytest.mark.parametrize("field", [{"cla": 256}, {"p2": -1}, {"ne": 0}, {"data": bytes(65536)}])
def test_a_command_that_no_bytes_can_say_is_refused(field: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"byte|longer"):
        CommandApdu(**({"cla": 0, "ins": 0, "p1": 0, "p2": 0} | field))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("command", "tpdu"),
    [
        ("00440000", "0044000000"),
        ("0084000010", "0084000010"),
        ("00D6000001AA", "00D6000001AA"),
        ("0088000001AA00", "0088000001AA"),
    ],
)
def test_t0_carries_the_four_cases(command: str, tpdu: str) -> None:
    assert tpdu_t0(bytes.fromhex(command)).hex().upper() == tpdu


class Script:
    """A card that answers from a list and keeps what it was asked."""

    def __init__(self, *answers: str) -> None:
        self._answers = iter(answers)
        self.asked: list[str] = []

    def __call__(self, command: bytes) -> bytes:
        self.asked.append(command.hex().upper())
        return bytes.fromhex(next(self._answers))


def test_data_that_waits_is_fetched() -> None:
    card = Script("AA 6102", "BBCC 6100", "DD 6101", "6C01", "EE 9000")
    assert transmit(CommandApdu(0, 0x88, 0, 0, b"\1", 256), card, extended=False) == ResponseApdu(
        bytes.fromhex("AABBCCDDEE"), 0x9000
    )
    assert card.asked[1:] == ["00C0000002", "00C0000000", "00C0000001", "00C0000001"]


def test_a_wrong_le_is_asked_again_with_the_right_one() -> None:
    card = Script("6C10", "00112233445566778899AABBCCDDEEFF 9000")
    response = transmit(CommandApdu(0, 0x84, 0, 0, ne=256), card, extended=False)
    assert (len(response.data), response.ok) == (16, True)
    assert card.asked == ["0084000000", "0084000010"]


def test_long_data_is_chained_where_extended_length_is_not_there() -> None:
    card = Script("9000", "9000", "9000")
    assert transmit(CommandApdu(0, 0xD6, 0x81, 0, LONG), card, extended=False).ok
    assert [asked[:10] for asked in card.asked] == ["10D68100FF", "10D68100FF", "00D6810002"]
    assert bytes.fromhex("".join(asked[10:] for asked in card.asked)) == LONG


def test_a_chain_stops_where_the_card_refuses() -> None:
    card = Script("6884")
    assert transmit(CommandApdu(0, 0xD6, 0, 0, LONG), card, extended=False).sw == 0x6884
    assert len(card.asked) == 1


def test_a_card_that_announces_data_without_end_is_refused() -> None:
    with pytest.raises(CardRefused, match="without end"):
        transmit(
            CommandApdu(0, 0xCA, 0, 0, ne=256),
            Script(*itertools.repeat("AA6101", 1000)),
            extended=False,
        )


@pytest.mark.parametrize("answer", ["", "90"])
def test_an_answer_without_a_status_word_is_refused(answer: str) -> None:
    with pytest.raises(CardRefused, match="no status word"):
        transmit(CommandApdu(0, 0, 0, 0), Script(answer), extended=False)


def test_a_refusal_says_step_and_status() -> None:
    error = refused(ResponseApdu(b"", 0x6982), "write the credential")
    assert "write the credential: 6982 security status not satisfied" in str(error)
    assert error.status == 0x6982


def test_status_words_have_names() -> None:
    names = [status_name(status) for status in (0x63C2, 0x6110, 0x6F42)]
    assert names == ["63C2 wrong, 2 tries left", "6110 more data waits", "6F42"]
