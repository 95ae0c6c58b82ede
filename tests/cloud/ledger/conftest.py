"""A terminal at work."""

from __future__ import annotations

import pytest

from cloud.ledger.transaction import Ledger
from tests.cloud.town import Till, Town


@pytest.fixture
def till(town: Town, ledger: Ledger) -> Till:
    """A terminal with one record in the ledger, and Ann is a member."""
    town.add_members("ann")
    till = town.add_till("t-0001")
    ledger.ingest([till.batch(till.open())])
    return till
