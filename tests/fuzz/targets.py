"""All targets by name."""

from __future__ import annotations

from tests.fuzz.dialogues import DIALOGUES
from tests.fuzz.parsers import PARSERS

TARGETS = PARSERS | DIALOGUES
