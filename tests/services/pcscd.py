"""The private pcscd as a fixture: one for each test process, which its client library is shown."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from drivers.virtual.pcscd import RUN_FOLDER, Pcscd, running_pcscd

__all__ = ["Pcscd", "pcscd", "running_pcscd"]


@pytest.fixture(scope="session")
def pcscd() -> Iterator[Pcscd]:
    """The one pcscd of this test process, which its client library is pointed at."""
    if os.geteuid() != 0 and not RUN_FOLDER.exists():
        pytest.skip(f"needs {RUN_FOLDER}, which only root can make: sudo mkdir {RUN_FOLDER}")
    with running_pcscd() as pcscd, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PCSCLITE_CSOCK_NAME", str(pcscd.socket_path))
        yield pcscd
