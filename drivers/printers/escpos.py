"""A receipt as ESC/POS bytes (Epson's command reference), Chinese and Latin in one line.

Chinese goes out as GB18030 in Kanji mode (FS &), two columns a character; Latin letters beyond
ASCII in code page 858 outside of it, where they have one. Python-escpos sends a whole line in one
of both, so that an é becomes two columns wide or a Chinese comma is lost.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from itertools import groupby

from drivers.errors import PrinterRefused
from drivers.printers.document import Line, Receipt, lay_out

WIDTH_58_MM, WIDTH_80_MM = 32, 48  # columns of font A (12 dots) on both papers
# Version 40 takes 4,296 characters; at 3 dots a module and 384 dots of paper 25 is the largest.
PROOF_BYTES_MAX = 1_000

_START = b"\x1b@"
_CODE_PAGE = b"\x1bt\x13"  # 19: PC858, Latin with the euro sign
_KANJI_ON, _KANJI_OFF = b"\x1c&", b"\x1c."
_CENTRED, _LEFT = b"\x1ba\x01", b"\x1ba\x00"
_STRONG, _PLAIN = b"\x1bE\x01", b"\x1bE\x00"
_FEED_AND_CUT = b"\x1dVB\x03"
_QR = b"\x1d(k"
_MODEL_2, _DOTS_4, _LEVEL_M, _DRAW = b"1A2\x00", b"1C\x04", b"1E1", b"1Q0"
_STORE = b"1P0"
_INSTEAD = "?"


def columns(text: str) -> int:
    """Columns of a text on the paper: two for what goes out as Chinese."""
    return sum(2 if _is_chinese(char) else 1 for char in text)


def encode(receipt: Receipt, width: int, *, copy: int = 0) -> bytes:
    """Return the whole receipt, cut included; PrinterRefused for a proof that no code holds.

    ``copy``: see document.lay_out.
    """
    lines = lay_out(receipt, width, columns, copy=copy)
    parts = [_START, _CODE_PAGE, *map(_line, lines)]
    if receipt.proof:
        parts.append(_code(receipt.proof))
    return b"".join((*parts, _FEED_AND_CUT))


def _line(line: Line) -> bytes:
    styles = (_CENTRED if line.centred else _LEFT) + (_STRONG if line.strong else _PLAIN)
    return styles + b"".join(_runs(line.text)) + b"\n"


def _runs(text: str) -> Iterator[bytes]:
    """Stretches of Chinese and of everything else, each in its mode."""
    for chinese, chars in groupby(map(_printable, text), _is_chinese):
        if chinese:
            yield _KANJI_ON + "".join(chars).encode("gb18030")
        else:
            yield _KANJI_OFF + "".join(chars).encode("cp858")


def _printable(char: str) -> str:
    """The character, or ``?``: a control would be a command, and others have no glyph.

    Of GB18030's four-byte codes printers have the hanzi of extension A at most.
    """
    if unicodedata.category(char)[0] == "C":
        return _INSTEAD
    has_glyph = len(char.encode("gb18030")) <= 2 or "\u3400" <= char <= "\u9fff"
    return char if has_glyph or _in_code_page(char) else _INSTEAD


def _is_chinese(char: str) -> bool:
    """Whether it has no place in the code page and so takes two columns."""
    return not _in_code_page(_printable(char))


def _in_code_page(char: str) -> bool:
    try:
        char.encode("cp858")
    except UnicodeEncodeError:
        return False
    return True


def _code(text: str) -> bytes:
    """QR code in the middle: model, size, level, data, and draw (GS ( k, functions 65 to 81)."""
    data = text.encode()
    if len(data) > PROOF_BYTES_MAX:
        raise PrinterRefused(f"a proof of {len(data)} bytes")
    commands = (_MODEL_2, _DOTS_4, _LEVEL_M, _STORE + data, _DRAW)
    drawn = b"".join(_QR + len(each).to_bytes(2, "little") + each for each in commands)
    return _CENTRED + drawn + b"\n"
