"""What holds for every test: a reasoned skip where a package is missing, one hypothesis profile."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

import run

if TYPE_CHECKING:
    from collections.abc import Sequence

# Once for all tests: a second copy of a session's fixture would start a second Chromium.
pytest_plugins = ["tests.services.browser", "tests.services.postgres"]

# A machine under load must not fail a property by its duration; pytest-timeout bounds the test.
settings.register_profile("free", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "free")


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Leave out, with its reason, each test whose Debian packages this machine lacks."""
    missing = run.missing_system_packages()
    for item in items:
        for marker in item.iter_markers():
            if packages := missing.get(marker.name):
                item.add_marker(pytest.mark.skip(reason=f"needs Debian's {' '.join(packages)}"))
