"""What is broken on purpose about torn taps: each is seen by what test_torn_taps asks for."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cloud.ledger import posting
from drivers.purse import Debited, Fate, Settled
from edge import books as books_module
from edge.books import Books
from edge.draft import Draft
from edge.errors import EdgeError
from edge.journal import Journal
from edge.purse import settlement
from protocol.moment import Moment
from protocol.record import Record, Sealed
from tests.edge.world import COFFEE
from tests.system.test_torn_taps import APDUS, NEXT, agrees, leave, lose_power
from tests.system.till import BALANCE, FailingPurse, Till


def constant(value: object) -> Callable[..., object]:
    return lambda *_, **__: value


def without(word: str) -> Callable[..., object]:
    """Journal.append that forgets what it should do beside."""
    append = Journal.append

    def made(*said: Any, **beside: Any) -> Sealed:
        return append(*said, **{**beside, word: None})

    return made


def always_wanted(*said: Any, **_: bool) -> Draft:
    return settlement(*said, still_wanted=True)


def never_wanted(*said: Any, **_: bool) -> Draft:
    return settlement(*said, still_wanted=False)


def under_a_new_id(books: Books, draft: Draft, moment: Moment, _tid: bytes | None = None) -> Record:
    return next_record(books, draft, moment)


next_record = Books._next  # noqa: SLF001 - what a mutant stands before
PAID = Settled(Fate.MOVED, Debited(2, BALANCE - COFFEE, b""))
# What is broken on purpose: the place, its name, and what stands there instead.
MUTANTS: dict[str, tuple[object, str, object]] = {
    "the intent is not written down": (Journal, "intend", constant(None)),
    "the intent stays when it is settled": (Journal, "append", without("ends")),
    "a torn debit is told at each start": (Journal, "append", without("tears")),
    "a torn debit is told to nobody": (Journal, "untold", constant(())),
    "what became of it is not asked": (Books, "_settle", constant(None)),
    "every card is believed to have paid": (FailingPurse, "fate", constant(PAID)),
    "no card is believed to have paid": (FailingPurse, "fate", constant(Settled(Fate.NOT_MOVED))),
    "an order that ended is booked": (books_module, "settlement", always_wanted),
    "an order that waits is ended": (books_module, "settlement", never_wanted),
    "what was settled has an id of its own": (Books, "_next", under_a_new_id),
    "the ledger takes it for cash": (posting, "CARD_PURSE", "another"),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mutant: str) -> None:
    place, name, instead = MUTANTS[mutant]
    monkeypatch.setattr(place, name, instead)
    seen = False
    for number, then in enumerate(NEXT):
        for lost in (False, True):
            folder = tmp_path / f"{number}-{lost}"
            with closing(Till(folder, "desfire")) as till:
                try:
                    leave(till, sum(APDUS["desfire"]), answer_lost=lost, then=then)
                    agrees(till)
                except (AssertionError, sqlite3.Error, EdgeError):
                    seen = True
            with closing(Till(folder / "power", "desfire")) as till:
                try:
                    lose_power(till, "behind" if lost else "before", then)
                except (AssertionError, sqlite3.Error, EdgeError):
                    seen = True
    assert seen
