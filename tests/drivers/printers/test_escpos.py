"""What is on paper: Chinese, Latin, columns, code and cut, read back by a printer in software."""

from __future__ import annotations

from dataclasses import replace

import pytest
from escpos.printer import Dummy
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import PrinterRefused
from drivers.printers.document import COPY, Receipt, Row
from drivers.printers.escpos import PROOF_BYTES_MAX, WIDTH_58_MM, WIDTH_80_MM, columns, encode
from drivers.virtual.printer import Paper

RECEIPT = Receipt(
    number="t-0001-3-42",
    rows=(
        Row("港口咖啡 Café Zoë", strong=True, centred=True),
        Row("拿铁咖啡（大杯），热", "¥28.00"),
        Row("Crème brûlée × 2", "€12,50"),
        Row("储值余额", "¥1,071.50"),
    ),
    proof="https://example.com/r/t-0001-3-42?h=Ab3_会员",
)


def printed(receipt: Receipt, width: int = WIDTH_58_MM, *, copy: int = 0) -> Paper:
    """The paper of one receipt, fed byte by byte."""
    paper = Paper(width)
    for byte in encode(receipt, width, copy=copy):
        assert paper.feed(bytes((byte,))) == b""
    assert paper.errors == []
    return paper


@pytest.mark.parametrize("width", [WIDTH_58_MM, WIDTH_80_MM])
def test_a_receipt_reads_on_paper_as_it_was_written(width: int) -> None:
    paper = printed(RECEIPT, width)
    spaces = " " * (width - 26)
    assert paper.lines == [
        "港口咖啡 Café Zoë",
        "拿铁咖啡（大杯），热" + spaces + "¥28.00",
        "Crème brûlée × 2" + " " * (width - 22) + "€12,50",
        "储值余额" + " " * (width - 17) + "¥1,071.50",
        "-" * width,
        "t-0001-3-42",
        "",
    ]
    assert paper.strong == paper.lines[:1]
    assert paper.centred == ["港口咖啡 Café Zoë", "t-0001-3-42", ""]
    assert (paper.codes, paper.cuts) == ([RECEIPT.proof], 1)


def test_a_copy_says_so_first_and_last() -> None:
    assert COPY == "补打 COPY"
    paper = printed(RECEIPT, copy=2)
    assert (paper.lines[0], paper.lines[-2]) == ("补打 COPY 2",) * 2
    assert printed(replace(RECEIPT, proof="")).lines == printed(RECEIPT).lines[:-1]
    assert not any(COPY in line for line in printed(RECEIPT).lines)


@pytest.mark.parametrize(
    ("row", "lines"),
    [
        (Row("a" * 40), ["a" * 32, "a" * 8]),
        (Row("一" * 17), ["一" * 16, "一"]),
        (Row("a" + "一" * 16), ["a" + "一" * 15, "一"]),
        (Row("one two three four five six seven"), ["one two three four five six", "seven"]),
        (Row("一" * 15, "¥1.00"), ["一" * 15, " " * 27 + "¥1.00"]),
        (Row("", "¥1.00"), [" " * 27 + "¥1.00"]),
        (Row(), [""]),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_too_wide_goes_on_in_the_next_line(row: Row, lines: list[str]) -> None:
    assert printed(Receipt("1", (row,))).lines[: len(lines)] == lines


def test_a_chinese_character_takes_two_columns_and_a_latin_one_one() -> None:
    assert [columns(char) for char in "aé€×¥，。中㐀"] == [1, 1, 1, 1, 1, 2, 2, 2, 2]


def test_a_name_cannot_command_the_printer() -> None:
    receipt = Receipt("1", (Row("a\x1b@b\x1dVB\x00\n\r\x10\x04\x01c😀ไ\ud800"),))
    paper = printed(receipt)
    assert paper.lines[0] == "a?@b?VB???????c???".replace("???????", "??????")
    assert paper.cuts == 1


@given(
    st.lists(st.tuples(st.text(max_size=60), st.text(max_size=40)), max_size=6), st.integers(0, 99)
)
def test_any_text_comes_out_within_the_paper(rows: list[tuple[str, str]], copy: int) -> None:
    receipt = Receipt("7", tuple(Row(left, right) for left, right in rows))
    paper = Paper(WIDTH_58_MM)
    paper.feed(encode(receipt, WIDTH_58_MM, copy=copy))
    assert paper.errors == []
    assert paper.cuts == 1
    assert all(columns(line) <= WIDTH_58_MM for line in paper.lines)


@given(st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), max_size=16))
def test_every_hanzi_of_gb_is_itself_on_paper(text: str) -> None:
    assert printed(Receipt("7", (Row(text),))).lines[0] == text


def test_a_proof_that_no_code_holds_is_refused() -> None:
    with pytest.raises(PrinterRefused):
        encode(replace(RECEIPT, proof="x" * (PROOF_BYTES_MAX + 1)), WIDTH_58_MM)


@pytest.mark.parametrize(
    ("profile", "width"), [("POS-5890", WIDTH_58_MM), ("TM-T20II", WIDTH_80_MM)]
)
def test_both_papers_are_as_wide_as_the_library_knows_them(profile: str, width: int) -> None:
    known = Dummy(profile).profile
    assert known.get_columns("a") == width
    assert known.profile_data["media"]["width"]["pixels"] == width * 12
    assert known.codePages["19"] == "CP858"


def test_the_librarys_own_text_is_no_receipt() -> None:
    """Once this fails, it needs no text of ours any more."""
    printer = Dummy()
    printer.text("咖啡 Café ¥5")
    assert printer.output == b"\xbf\xa7\xb7\xc8 Caf\xa8\xa6 \x81\x30\x84\x36" + b"5"
    printer.clear()
    printer.text("，")
    assert printer.output.endswith(b"?")


@given(st.lists(st.binary(max_size=60), max_size=10))
def test_the_software_printer_survives_any_bytes(parts: list[bytes]) -> None:
    paper = Paper()
    for part in parts:
        paper.feed(part)
