"""A short run of each fuzzed target, the same in every run, and all that was ever found."""

from __future__ import annotations

import zlib
from random import Random

import pytest

from tests.fuzz.dialogues import DIALOGUES
from tests.fuzz.parsers import PARSERS
from tests.fuzz.target import CORPUS, Explorer, Target, found_before
from tests.fuzz.targets import TARGETS

# Together about five seconds; `run.py fuzz` gives each a minute.
PARSED, SAID = 300, 40


def explore(name: str, target: Target, count: int) -> None:
    """Fail with the input when one of ``count`` is a fault."""
    explorer = Explorer(target, Random(zlib.crc32(name.encode())))
    for _ in range(len(target.seeds) + count):
        try:
            explorer.step()
        except Exception as error:
            raise AssertionError(f"{name}: {explorer.data.hex()}") from error


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_only_refuses(name: str) -> None:
    explore(name, PARSERS[name], PARSED)


@pytest.mark.parametrize("name", DIALOGUES)
def test_a_dialogue_ends_and_only_refuses(name: str) -> None:
    explore(name, DIALOGUES[name], SAID)


def test_what_was_found_stays_mended() -> None:
    for path in CORPUS.glob("*.txt"):
        for data in found_before(path.stem):
            TARGETS[path.stem].outcome(data)
