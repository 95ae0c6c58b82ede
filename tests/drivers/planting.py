"""Faults that are planted on purpose, and what it takes for a test to have seen one.

The faults themselves are in tests/drivers/mutants, one file a family.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from drivers.errors import DriverError

Patch = pytest.MonkeyPatch
# What is broken, in one line: how it is planted, and the test that passes without it and fails
# with it.
Mutants = dict[str, tuple[Callable[[Patch], None], Callable[[], None]]]

SEEN = (AssertionError, DriverError, ValueError, pytest.fail.Exception)


def replaced(owner: Any, name: str, make: Callable[[Any], Any]) -> Callable[[Patch], None]:
    """A mutant that puts ``make(original)`` in the place of ``name``."""
    return lambda patch: patch.setattr(owner, name, make(getattr(owner, name)))


def constant(value: object) -> Callable[[Any], Any]:
    """Whatever is asked, it is ``value``."""
    return lambda _original: lambda *_args, **_named: value


def instead(value: object) -> Callable[[Any], Any]:
    """Where something stood, ``value`` stands."""
    return lambda _original: value
