"""Reads the gettext catalogues of the page. What is said when is left to view."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from edge.kiosk.model import Said, Texts

LOCALE = Path(__file__).parent / "locale"
_STRING = r'((?:"(?:[^"\\]|\\.)*"\s*)+)'
_ENTRY = re.compile(rf"^msgid {_STRING}^msgstr {_STRING}", re.MULTILINE)


def read_catalogue(path: Path) -> dict[str, str]:
    """Return msgid -> msgstr of a gettext .po file that has no plural forms and no contexts."""
    entries = _ENTRY.findall(path.read_text(encoding="utf-8"))
    catalogue = {_joined(msgid): _joined(msgstr) for msgid, msgstr in entries}
    catalogue.pop("", None)  # the header
    return catalogue


def load() -> Texts:
    """Return every text of the page in both languages; KeyError names one that lacks either."""
    chinese, english = read_catalogue(LOCALE / "zh_CN.po"), read_catalogue(LOCALE / "en.po")
    return {key: Said(chinese[key], english[key]) for key in chinese | english}


def _joined(literals: str) -> str:
    """The strings of an entry stand side by side, as in Python."""
    return str(ast.literal_eval(f"({literals})"))
