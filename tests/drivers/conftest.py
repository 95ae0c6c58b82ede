"""What the driver tests are given: the one pcscd of the process, and a rig of each carrier.

The client library of PC/SC looks only once where pcscd's socket is.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.drivers.rigs import CARRIERS, Rig, rig
from tests.services.pcscd import pcscd

__all__ = ["pcscd"]


@pytest.fixture(name="rig", params=CARRIERS)
def _rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    built = rig(request.param, lambda: request.getfixturevalue("pcscd"))
    yield built
    built.carrier.close()
