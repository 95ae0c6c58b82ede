"""What published vectors are checked against: one module for files that belong together.

A module exports ``CHECKS``: the file's name without ``.json`` → a function that takes one case and
the whole document, and raises AssertionError, or UnknownCase for a kind that it does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Case = Mapping[str, Any]
Check = Callable[[Case, Case], None]


class UnknownCase(Exception):
    """A kind of case that nothing here checks."""


def raw(case: Case, name: str) -> bytes:
    """The bytes of a field in hex."""
    return bytes.fromhex(case[name])
