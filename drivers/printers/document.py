"""What a receipt is before any printer: rows of text, laid out in columns, and the code below them.

How many columns a character takes is the printer's: it is passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

COPY = "补打 COPY"
RULE = "-"

# Columns of a text on the printer at hand.
Columns = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Row:
    """A text, and perhaps one at the right edge of the same row, such as an amount."""

    left: str = ""
    right: str = ""
    strong: bool = False
    centred: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """``number`` is its place in the terminal's journal; ``proof`` is the text of its QR code."""

    number: str
    rows: tuple[Row, ...]
    proof: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it comes out: never wider than the paper."""

    text: str
    strong: bool = False
    centred: bool = False


def lay_out(receipt: Receipt, width: int, columns: Columns, *, copy: int) -> Iterator[Line]:
    """Yield the lines for paper of ``width`` columns.

    ``copy`` counts from 1 and stands with its mark first and last; 0 is the original.
    """
    mark = Line(f"{COPY} {copy}", strong=True, centred=True)
    if copy:
        yield mark
    for row in receipt.rows:
        yield from _row(row, width, columns)
    yield Line(RULE * width)
    for text in _wrap(receipt.number, width, columns):
        yield Line(text, centred=True)
    if copy:
        yield mark


def _row(row: Row, width: int, columns: Columns) -> Iterator[Line]:
    """The left text in as many lines as it takes, the right one at the end of the last."""
    lines = list(_wrap(row.left, width, columns))
    if row.right:
        free = width - columns(lines[-1]) - columns(row.right)
        if free < 1:
            lines += _wrap(row.right, width, columns)
            free = width - columns(lines[-1])
            lines[-1] = " " * free + lines[-1]
        else:
            lines[-1] += " " * free + row.right
    for text in lines:
        yield Line(text, row.strong, row.centred)


def _wrap(text: str, width: int, columns: Columns) -> Iterator[str]:
    """Cut at the last space that fits, else where the paper ends: Chinese has no spaces."""
    rest = text
    while columns(rest) > width:
        fits = max(1, _fitting(rest, width, columns))
        space = rest.rfind(" ", 1, fits + 1)
        at = space if space > 0 else fits
        yield rest[:at].rstrip()
        rest = rest[at:].lstrip()
    yield rest


def _fitting(text: str, width: int, columns: Columns) -> int:
    """How many characters of ``text`` fit."""
    used = 0
    for at, char in enumerate(text):
        used += columns(char)
        if used > width:
            return at
    return len(text)
