"""What holds for every test: a reasoned skip where a package is missing, one hypothesis profile."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

import run

# Once for all tests: a second copy of a session's fixture would start a second Chromium.
pytest_plugins = ["tests.services.browser", "tests.services.postgres"]

# Files in the order of their duration, longest first: a worker takes whole files, and none shall be
# left alone with a long one at the end. All others follow; they take less than a quarter minute.
SLOWEST = (
    "tests/system/test_line.py",
    "tests/system/test_kill.py",
    "tests/cloud/console/test_pages.py",
    "tests/simulation/test_world.py",
    "tests/system/test_demo.py",
    "tests/edge/kiosk/test_legibility.py",
    "tests/powercut/test_journal.py",
    "tests/edge/kiosk/test_page.py",
    "tests/cloud/test_commands.py",
    "tests/system/test_hostile.py",
    "tests/cloud/ledger/test_transaction.py",
    "tests/cloud/console/test_work.py",
    "tests/edge/test_faulty_disk.py",
    "tests/edge/test_devices.py",
    "tests/edge/test_terminal.py",
    "tests/systemd/test_install.py",
    "tests/test_run.py",
)

# A machine under load must not fail a property by its duration; pytest-timeout bounds the test.
settings.register_profile("free", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "free")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slowest; leave out, with its reason, each test whose packages are missing."""
    slowest = [(run.ROOT / file).resolve(strict=True) for file in SLOWEST]
    place = {file: number for number, file in enumerate(slowest)}
    items.sort(key=lambda item: place.get(item.path, len(place)))
    missing = run.missing_system_packages()
    for item in items:
        for marker in item.iter_markers():
            if packages := missing.get(marker.name):
                item.add_marker(pytest.mark.skip(reason=f"needs Debian's {' '.join(packages)}"))
