"""A whole value tap over each carrier: pcscd, a PN532 on its serial line, radio over UDP."""

from __future__ import annotations

import os
import time
from typing import TypeVar

import pytest

from drivers.apdu import Steps
from drivers.desfire.purse import debit, fate, open_purse
from drivers.errors import CardGone
from drivers.exchange import Deadlines, hold
from drivers.purse import Fate
from drivers.reader import Reader
from tests.drivers.desfire_world import (
    BALANCE,
    DESFIRE_TRUST,
    QUAY,
    intent_of,
    loaded_desfire,
    reference,
)
from tests.drivers.rigs import Rig, present
from tests.drivers.world import SOON_S, examiner

Result = TypeVar("Result")


def say(steps: Steps[Result], reader: Reader) -> Result:
    """Hold a dialogue over a real driver stack."""
    return hold(steps, reader, Deadlines(), time.monotonic, extended=False)


def test_a_value_tap(rig: Rig) -> None:
    rig.carrier.insert(loaded_desfire())
    with rig.reader() as reader:
        presented = present(reader)
        identity = examiner(DESFIRE_TRUST).identify(reader, presented)
        assert (identity.reference, identity.balance_before) == (reference(), BALANCE)
        purse = say(open_purse(QUAY, presented, os.urandom(16)), reader)
        done = say(debit(purse, intent_of(purse)), reader)
        after = say(open_purse(QUAY, presented, os.urandom(16)), reader)
        assert (after.balance, after.last) == (done.balance_after, done.proof)


@pytest.mark.parametrize("answer_lost", [False, True])
def test_a_commit_torn_on_the_line(rig: Rig, answer_lost: bool) -> None:  # noqa: FBT001
    card = loaded_desfire()
    rig.carrier.insert(card)
    with rig.reader() as reader:
        purse = say(open_purse(QUAY, present(reader), os.urandom(16)), reader)
        intent = intent_of(purse)
        rig.carrier.faults.cut_after(4, answer_lost=answer_lost)
        with pytest.raises(CardGone):
            say(debit(purse, intent), reader)
        assert reader.wait_for_removal(SOON_S)
        rig.carrier.insert(card)
        after = say(open_purse(QUAY, present(reader), os.urandom(16)), reader)
        assert say(fate(after, intent), reader) is (Fate.MOVED if answer_lost else Fate.NOT_MOVED)
