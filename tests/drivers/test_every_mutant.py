"""Each protection of card and terminal taken away, one by one: a test sees each.

The list is ``MUTANTS`` of the files in tests/drivers/mutants; the ids of these tests show it.
"""

from __future__ import annotations

import pytest

import tests.drivers.mutants
from drivers.identify import card_kinds
from protocol.plugins import discover
from protocol.record import CardClass
from tests.drivers.planting import SEEN, Mutants, Patch

LISTS: dict[str, Mutants] = discover(tests.drivers.mutants, "MUTANTS", dict)
LISTED = [(family, what) for family, mutants in LISTS.items() for what in mutants]
# More than what the shortest convincing list would have: a family that drops out is noticed.
LEAST = 60


@pytest.mark.parametrize(("family", "what"), LISTED, ids=lambda text: text)
def test_a_planted_fault_is_seen(family: str, what: str, monkeypatch: Patch) -> None:
    monkeypatch.delenv("TAPLEDGER_RECORD", raising=False)  # a fault is not to be recorded
    plant, probe = LISTS[family][what]
    probe()
    plant(monkeypatch)
    with pytest.raises(SEEN):
        probe()


def test_each_family_that_proves_something_is_on_the_list() -> None:
    proving = {kind.name for kind in card_kinds() if kind.assurance is not CardClass.UID}
    assert proving <= LISTS.keys()
    assert len(LISTED) >= LEAST
