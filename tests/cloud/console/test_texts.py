"""Every text has its Chinese, and the catalogue holds nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import Environment

import run
from cloud import errors as cloud_errors
from cloud.console import overview
from cloud.console.display import STEPS
from cloud.console.texts import LOCALE, Catalogue, Language, read_catalogue
from cloud.console.words import WORDS
from cloud.fleet import pages as fleet
from cloud.http import errors as http_errors
from cloud.http.identity import Role
from cloud.ledger import pages as ledger
from cloud.members import pages as members
from cloud.rules import pages as rules
from drivers.errors import CardIssued, DriverError
from drivers.identify import card_kinds
from edge.commands import DONE, EXPIRED, OTHER_TERMINAL
from edge.kiosk.texts import load
from edge.sync_flow import FORKED, HISTORY_DIFFERS, LEDGER_WENT_BACK
from protocol import errors as protocol_errors
from protocol.command import Verb
from protocol.errors import ProductError
from protocol.member_list import CardState
from protocol.record import Kind
from protocol.watermark import Standing

TEMPLATES = sorted((run.ROOT / "cloud").glob("*/templates/*.html"))
# What a terminal's screen can say of a tap; "other" stands there for whatever has no text.
REASONS = [key.removeprefix("reason.") for key in load() if key.startswith("reason.")]
# Only a technician's station meets it.
NEVER_SENT = {CardIssued.code, "other"}
PLACEHOLDER = re.compile(r"%\(\w+\)s")


def of_templates() -> Iterator[str]:
    """Texts that stand in templates."""
    environment = Environment(extensions=["jinja2.ext.i18n"], autoescape=True)
    for template in TEMPLATES:
        extracted = environment.extract_translations(template.read_text())  # type: ignore[attr-defined]
        for _, _, text in extracted:
            yield from (text if isinstance(text, tuple) else (text,))


def of_errors(kind: type[ProductError] = ProductError) -> Iterator[str]:
    """Texts of errors that the console can show."""
    modules = {module.__name__ for module in (cloud_errors, http_errors, protocol_errors)}
    for child in kind.__subclasses__():
        if child.__module__ in modules:
            yield from (child.what, child.kept, child.todo)
            yield from of_errors(child)


def used() -> set[str]:
    """Every text that a page can show."""
    places = (overview.PLACE, fleet.PLACE, members.PLACE, ledger.PLACE, rules.PLACE)
    return {
        *filter(None, of_templates()),
        *of_errors(),
        *WORDS.values(),
        *(place.label for place in (*places, ledger.QUARANTINE_PLACE)),
        *(text for _, text in STEPS),
        *ledger.CHECKS,
    }


def test_the_catalogue_is_complete_and_has_nothing_else() -> None:
    assert read_catalogue(LOCALE / "zh_CN.po").keys() == used()


def test_a_translation_keeps_what_is_filled_in() -> None:
    for english, chinese in read_catalogue(LOCALE / "zh_CN.po").items():
        filled = PLACEHOLDER.findall(english)
        assert sorted(PLACEHOLDER.findall(chinese)) == sorted(filled), english
        assert re.search(r"[\u4e00-\u9fff]", chinese), english


def test_no_text_stands_twice() -> None:
    text = (LOCALE / "zh_CN.po").read_text()
    assert text.count('\nmsgid "') == len(read_catalogue(LOCALE / "zh_CN.po"))


def test_english_is_what_the_template_says() -> None:
    assert Catalogue(Language.ENGLISH).gettext("Members") == "Members"
    assert Catalogue(Language.CHINESE).gettext("Members") == "会员"


@pytest.mark.parametrize(
    "code",
    [
        *(kind.name.lower() for kind in Kind),
        *(state.name.lower() for state in CardState),
        *(standing.name.lower() for standing in Standing),
        *(verb.value for verb in Verb),
        *(role.value for role in Role),
        *REASONS,
        *(EXPIRED, OTHER_TERMINAL, DONE),
        *(FORKED, HISTORY_DIFFERS, LEDGER_WENT_BACK),
        *(
            each.code
            for each in DriverError.__subclasses__()
            if each.__module__ == DriverError.__module__  # others no terminal meets
        ),
        *(kind.name for kind in card_kinds()),
    ],
)
def test_every_code_of_the_agreement_has_a_name(code: str) -> None:
    assert code in WORDS or code in NEVER_SENT


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: f"{path.parts[-3]}/{path.name}")
def test_a_template_holds_no_script_style_or_foreign_address(template: Path) -> None:
    text = template.read_text()
    assert re.findall(r"\sstyle=|\son\w+=|<style|<script(?! src=)|https?://|hx-on", text) == []
