"""A card that is lent: one thread at a time at the reader, and an end whatever happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from drivers import loan as loans
from drivers.apdu import CommandApdu, Steps
from drivers.card import CardIdentity
from drivers.cards.cpu import APPLICATION
from drivers.errors import CardGone
from drivers.loan import Loan
from drivers.reader import Presented, ReaderKind, ReaderSettings
from drivers.supervise import Supervisor
from tests.drivers.rigs import BACK_OFF
from tests.drivers.world import SOON_S, DirectReader, Log, examiner, member_card

SELECT = CommandApdu(0x00, 0xA4, 0x04, 0x00, APPLICATION, ne=256)


class Counter(DirectReader):
    """A reader before which a card lies until it is taken; notes who asks whether it is gone."""

    def __init__(self) -> None:
        super().__init__(member_card())
        self.there = threading.Event()
        self.there.set()
        self.looked = threading.Event()

    def wait_for_card(self, timeout_s: float) -> Presented | None:
        return self.presented if self.there.wait(timeout_s) else None

    def wait_for_removal(self, timeout_s: float) -> bool:
        del timeout_s
        self.looked.set()
        return not self.there.is_set()


class Borrower(Log):
    """A listener that keeps the card."""

    def __init__(self) -> None:
        super().__init__()
        self.loans: list[Loan] = []

    def on_card(self, identity: CardIdentity, loan: Loan) -> None:
        self.loans.append(loan)
        self.identities.append(identity)
        self._note("card")


def ask() -> Steps[int]:
    """Any dialogue."""
    return (yield SELECT).sw


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture
def borrower(counter: Counter) -> Iterator[Borrower]:
    log = Borrower()
    kind = ReaderKind("test", lambda _: counter)
    supervisor = Supervisor(kind, ReaderSettings(), examiner(), log, BACK_OFF)
    supervisor.start()
    try:
        log.wait_for("card")
        yield log
    finally:
        begun = time.monotonic()
        supervisor.stop()
        assert time.monotonic() - begun < SOON_S / 4, "an end waits for no borrower"


def test_nobody_else_is_at_the_reader_while_the_card_is_lent(
    counter: Counter, borrower: Borrower
) -> None:
    (loan,) = borrower.loans
    assert [loan.carry(ask()) for _ in range(3)] == [0x9000] * 3
    assert not counter.looked.is_set()
    loan.release()
    assert counter.looked.wait(SOON_S)
    counter.there.clear()
    borrower.wait_for("card", "removed")


def test_a_card_that_was_given_back_is_gone(borrower: Borrower, counter: Counter) -> None:
    (loan,) = borrower.loans
    loan.release()
    loan.release()
    counter.sent.clear()
    with pytest.raises(CardGone):
        loan.carry(ask())
    assert not counter.sent


def test_a_borrower_that_forgets_the_card_loses_it(
    monkeypatch: pytest.MonkeyPatch, counter: Counter
) -> None:
    monkeypatch.setattr(loans, "LOAN_S", 0.05)
    loan = Loan(counter, counter.presented, examiner().deadlines, time.monotonic)
    loan.end(lambda: False)
    with pytest.raises(CardGone):
        loan.carry(ask())


def test_the_reader_waits_for_a_dialogue_that_is_under_way(counter: Counter) -> None:
    loan = Loan(counter, counter.presented, examiner().deadlines, time.monotonic)
    begun, goes_on = threading.Event(), threading.Event()

    def slow() -> Steps[int]:
        begun.set()
        assert goes_on.wait(SOON_S)
        return (yield SELECT).sw

    heard: list[int] = []
    borrower = threading.Thread(target=lambda: heard.append(loan.carry(slow())))
    borrower.start()
    assert begun.wait(SOON_S)
    owner = threading.Thread(target=lambda: loan.end(lambda: True))
    owner.start()
    owner.join(0.1)
    assert owner.is_alive()
    goes_on.set()
    owner.join(SOON_S)
    borrower.join(SOON_S)
    assert heard == [0x9000]
