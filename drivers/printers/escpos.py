"""A receipt as ESC/POS: the commands are python-escpos', the text is ours.

Chinese goes out as GB18030 in Kanji mode (FS &), two columns a character; Latin letters beyond
ASCII in code page 858 outside of it, where they have one. The library's own choice sends a line
with one hanzi as GB18030 whole, so that an é is two columns wide and a ¥ four bytes that no printer
knows, and a Chinese comma alone as a question mark.
"""

from __future__ import annotations

import unicodedata
from itertools import groupby
from typing import TYPE_CHECKING

from drivers.errors import PrinterRefused
from drivers.printers.document import Receipt, lay_out

if TYPE_CHECKING:
    from escpos.printer import Dummy

WIDTH_58_MM, WIDTH_80_MM = 32, 48  # columns of font A (12 dots) on both papers
# Version 40 takes 4,296 characters; at 3 dots a module and 384 dots of paper 25 is the largest.
PROOF_BYTES_MAX = 1_000

_LATIN = "CP858"  # with the euro sign
_KANJI_ON, _KANJI_OFF = b"\x1c&", b"\x1c."
_LEVEL_M, _MODULE_DOTS = 1, 4
_INSTEAD = "?"


def columns(text: str) -> int:
    """Columns of a text on the paper: two for what goes out as Chinese."""
    return sum(2 if _is_chinese(char) else 1 for char in text)


def encode(receipt: Receipt, width: int, *, copy: int = 0) -> bytes:
    """Return the whole receipt, cut included. ``copy``: see document.lay_out.

    PrinterRefused for a proof that no code holds, and where the library is missing.
    """
    length = len(receipt.proof.encode())
    if length > PROOF_BYTES_MAX:
        raise PrinterRefused(f"a proof of {length} bytes")
    paper = _paper()
    for line in lay_out(receipt, width, columns, copy=copy):
        paper.set(align="center" if line.centred else "left", bold=line.strong)
        _write(paper, line.text)
    if receipt.proof:
        paper.set(align="center")
        paper.qr(receipt.proof, ec=_LEVEL_M, size=_MODULE_DOTS, native=True)
        paper.ln()
    paper.cut(feed=False)
    return bytes(paper.output)


def _paper() -> Dummy:
    """Nothing yet. The library is loaded by the first receipt: 9 MB, and a folder in /tmp."""
    try:
        from escpos.printer import Dummy
    except (ImportError, OSError) as error:
        raise PrinterRefused(f"python-escpos does not load: {error}") from error
    paper = Dummy()
    paper.hw("INIT")
    paper.charcode(_LATIN)
    return paper


def _write(paper: Dummy, text: str) -> None:
    """One line: stretches of Chinese and of everything else, each in its mode."""
    for chinese, chars in groupby(map(_printable, text), _is_chinese):
        run = "".join(chars)
        mode, page = (_KANJI_ON, "gb18030") if chinese else (_KANJI_OFF, _LATIN)
        paper._raw(mode + run.encode(page))  # noqa: SLF001 - its word for bytes of one's own
    paper.ln()


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
        char.encode(_LATIN)
    except UnicodeEncodeError:
        return False
    return True
