"""The console's texts: English in the templates, Chinese from a gettext catalogue."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

LOCALE = Path(__file__).parent / "locale"
_STRING = r'((?:"(?:[^"\\]|\\.)*"\s*)+)'
_ENTRY = re.compile(rf"^msgid {_STRING}^msgstr {_STRING}", re.MULTILINE)


class Language(StrEnum):
    """Languages of the console, as HTML names them."""

    CHINESE = "zh-CN"
    ENGLISH = "en"


def read_catalogue(path: Path) -> dict[str, str]:
    """Return msgid -> msgstr of a gettext .po file that has no plural forms and no contexts."""
    entries = _ENTRY.findall(path.read_text(encoding="utf-8"))
    catalogue = {_joined(msgid): _joined(msgstr) for msgid, msgstr in entries}
    catalogue.pop("", None)  # the header
    return catalogue


def _joined(literals: str) -> str:
    """The strings of an entry stand side by side, as in Python."""
    return str(ast.literal_eval(f"({literals})"))


class Catalogue:
    """Texts of one language; a text that it lacks stays English, and a test finds it."""

    def __init__(self, language: Language) -> None:
        self.language = language
        english = language is Language.ENGLISH
        self._texts: Mapping[str, str] = {} if english else read_catalogue(LOCALE / "zh_CN.po")

    def gettext(self, text: str) -> str:
        """The text in this language."""
        return self._texts.get(text, text)

    def ngettext(self, one: str, many: str, count: int) -> str:
        """As gettext; Chinese has one form."""
        return self.gettext(one if count == 1 else many)


def language_of(cookie: str | None, accepted: str) -> Language:
    """What the person chose, else the first of ours in Accept-Language (RFC 9110, 12.5.4)."""
    for wanted in (cookie or "", *accepted.split(",")):
        tag = wanted.partition(";")[0].strip().lower()
        if tag.startswith("zh"):
            return Language.CHINESE
        if tag.startswith("en"):
            return Language.ENGLISH
    return Language.ENGLISH
