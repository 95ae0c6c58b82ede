"""A card that leaves at any point of a debit, and power that fails there.

The money moves once or not at all, and after the next tap card, journal and ledger say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from cloud.ledger.purses import purses
from drivers.purse import Charge, Fate, Settled
from edge.agent import Agent
from edge.order import AnswerState, Order, top_up, void
from edge.tap_flow import Book, Phase
from protocol.membership.event import CARD_IN_DOUBT, CARD_NOT_DEBITED, CARD_PURSE, CARD_TORN
from protocol.record import Card, CardClass, Kind
from protocol.transaction_mac import reader_id
from tests.edge.world import COFFEE, OFFLINE, ONLINE, SOON_S, assemble, coffee, running, wait_until
from tests.system.till import BALANCE, FAMILIES, PRINCIPAL, FailingPurse, Till

# Commands of a tap: identification and debit.
APDUS = {"desfire": (5, 4), "pboc_purse": (5, 2)}
CUTS = [
    (family, apdu, lost)
    for family, (asked, debited) in APDUS.items()
    for apdu in range(1, asked + debited + 1)
    for lost in (False, True)
]


@pytest.fixture(params=list(FAMILIES))
def till(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Till]:
    made = Till(tmp_path, request.param)
    yield made
    made.close()


def agrees(till: Till) -> None:
    """Card, journal and ledger say the same; nothing is open."""
    assert till.books.journal.intent_of(till.reference) is None
    on_card = till.identify().balance_before
    assert on_card is not None
    ledger = till.ledger()
    taken = ledger.balances[f"purse:{till.reference.hex()}", "CNY"]
    assert taken == BALANCE - on_card
    records = [record for record in till.records() if record.kind is not Kind.CARD_EVENT]
    by_card = [each for each in records if any(t.method == CARD_PURSE for t in each.tenders)]
    assert sum(record.total for record in by_card) == taken
    assert len({record.tid for record in records}) == len(records)
    torn = {record.refers_to for record in till.records() if record.reason == CARD_TORN} - {None}
    told = {record.tid for record in by_card}
    settled = [each for each in till.records() if each.reason in (CARD_NOT_DEBITED, CARD_IN_DOUBT)]
    told |= {each.refers_to for each in settled if each.refers_to is not None}
    assert torn <= told, "nobody can read what became of it"
    paid_in = sum(record.total for record in by_card if record.kind is Kind.TOP_UP)
    drawn = ledger.states["m-1"].balance if "m-1" in ledger.states else 0
    assert drawn == paid_in
    assert not sum(ledger.balances.values()) - sum(
        amount for (_, unit), amount in ledger.balances.items() if unit == "PT"
    )


def again(till: Till, order: Order) -> None:
    """The same card comes for the same order."""
    answer = till.tap(order)
    assert answer is not None
    assert answer.state is AnswerState.APPROVED
    assert (answer.card_balance, answer.method) == (BALANCE - COFFEE, CARD_PURSE)
    sales = [record for record in till.records() if record.order == order.id]
    assert [record.kind for record in sales] == [Kind.SALE]
    assert (sales[0].earned, sales[0].total) == (5, COFFEE)
    torn = [record for record in till.records() if record.refers_to == sales[0].tid]
    assert [record.moment for record in torn] == [sales[0].moment] * len(torn), "not of its time"
    assert till.books.recorded(order.id) == structs.replace(answer, stages_ms={})


def only_a_look(till: Till, _order: Order) -> None:
    """The order was ended; the card comes to show its balance."""
    answer = till.tap(None)
    assert answer is not None
    moved = any(record.kind is Kind.TOP_UP for record in till.records())
    assert answer.code == ("card_torn" if moved else "balance_shown")
    assert answer.balance == PRINCIPAL + COFFEE * moved
    assert answer.card_balance == BALANCE - COFFEE * moved


def another_order(till: Till, order: Order) -> None:
    """The order was ended; the card comes for another."""
    answer = till.tap(coffee("another", 2))
    assert answer is not None
    assert (answer.state, answer.total) == (AnswerState.APPROVED, 2 * COFFEE)
    assert till.books.recorded(order.id) is None


def another_card_first(till: Till, order: Order) -> None:
    """Somebody else's card pays the order; the first one comes back later."""
    other = Card(bytes(16), "cpu", CardClass.SECURE)
    assert till.books.book(Book(order, other, ""), ONLINE)[0].state is AnswerState.APPROVED
    assert till.tap(None) is not None
    sales = [record for record in till.records() if record.kind is Kind.SALE]
    assert [record.tenders[0].method for record in sales] == ["stored_value"]


def leaves_once_more(till: Till, order: Order) -> None:
    """It leaves at the first command again, and then comes for the same order."""
    till.reader.faults.cut_after(1)
    assert till.tap(order) is None
    again(till, order)


NEXT: list[Callable[[Till, Order], None]] = [
    again,
    only_a_look,
    another_order,
    leaves_once_more,
]


def leave(till: Till, apdu: int, *, answer_lost: bool, then: Callable[[Till, Order], None]) -> None:
    """The card leaves at the n-th command of a tap, and then comes back."""
    order = coffee("o-1")
    till.reader.faults.cut_after(apdu, answer_lost=answer_lost)
    assert till.tap(order) is None
    assert till.books.recorded(order.id) is None
    then(till, order)
    if till.books.journal.intent_of(till.reference) is not None:
        till.tap(None)
    agrees(till)


def lose_power(till: Till, when: str, then: Callable[[Till, Order], None]) -> None:
    """The power fails beside the debit; the terminal starts, twice, and the card comes back."""
    order = coffee("o-1")
    assert till.tap(order, power_fails=when) is None
    events = [record.reason for record in till.records() if record.kind is Kind.CARD_EVENT]
    assert events == ["card_torn"], "nobody knows of the debit"
    till.restart()
    assert [record.reason for record in till.records()].count("card_torn") == 1, "told twice"
    then(till, order)
    agrees(till)


@pytest.mark.parametrize("then", [*NEXT, another_card_first], ids=lambda then: then.__name__)
@pytest.mark.parametrize(("family", "apdu", "answer_lost"), CUTS)
def test_a_card_leaves_at_any_command(
    tmp_path: Path,
    family: str,
    apdu: int,
    answer_lost: bool,  # noqa: FBT001
    then: Callable[[Till, Order], None],
) -> None:
    with closing(Till(tmp_path, family)) as till:
        leave(till, apdu, answer_lost=answer_lost, then=then)


@pytest.mark.parametrize("then", NEXT, ids=lambda then: then.__name__)
@pytest.mark.parametrize("when", ["before", "behind"])
def test_the_power_fails_beside_the_debit(
    till: Till, when: str, then: Callable[[Till, Order], None]
) -> None:
    lose_power(till, when, then)


def present(till: Till, agent: Agent) -> None:
    """The reader's thread tells of the card, and gets it back."""
    identity, purse = till.hold()
    agent.on_card(identity, till.time.clock.mono_s(), purse)
    till.loan.end(lambda: False)


def test_an_order_waits_on_for_a_card_that_left(till: Till) -> None:
    agent = assemble(till.books, till.time.clock).agent
    counter, order = agent.counter, coffee("o-1")
    with running(agent):
        counter.place(order)
        till.reader.faults.cut_after(sum(APDUS[till.identify().family]), answer_lost=True)
        present(till, agent)
        wait_until(lambda: counter.screen().problem == "card_torn", "the advice")
        assert (counter.screen().phase, counter.screen().order) == (Phase.WAITING_CARD, order)
        assert counter.answer(order.id, 0).state is AnswerState.WAITING
        present(till, agent)
        answer = counter.answer(order.id, SOON_S)
    assert (answer.state, answer.card_balance) == (AnswerState.APPROVED, BALANCE - COFFEE)
    assert answer.stages_ms.keys() == {"identify", "decide", "card", "record", "show", "tap"}
    agrees(till)


def test_a_card_that_leaves_before_it_tells_is_asked_again(till: Till) -> None:
    identified, debited = APDUS[till.identify().family]
    till.reader.faults.cut_after(identified + debited, answer_lost=True)
    assert till.tap(coffee("o-1")) is None
    agent = assemble(till.books, till.time.clock).agent
    with running(agent):
        till.reader.faults.cut_after(identified + 1)
        present(till, agent)
        wait_until(lambda: agent.counter.screen().problem == "card_gone", "the advice")
        present(till, agent)
        wait_until(lambda: agent.counter.screen().phase is Phase.RESULT, "the answer")
    agrees(till)


def test_the_card_pays_what_it_can_and_the_account_the_rest(till: Till) -> None:
    first, dear = till.tap(coffee("o-1", 9)), till.tap(coffee("o-2", 9))
    assert first is not None
    assert dear is not None
    assert (first.card_balance, first.balance) == (BALANCE - 9 * COFFEE, PRINCIPAL)
    assert (dear.card_balance, dear.balance) == (BALANCE - 9 * COFFEE, PRINCIPAL - 9 * COFFEE)


def test_no_offline_limit_holds_a_card_that_pays_itself(till: Till) -> None:
    identity = till.identify()
    assert identity.balance_before == BALANCE
    for number in range(5):  # the limit is three, and 1,500
        answer = till.tap(coffee(f"o-{number}"), situation=OFFLINE)
        assert answer is not None
        assert answer.state is AnswerState.APPROVED
    assert till.records()[-1].offline_left is None
    agrees(till)


def test_a_top_up_and_a_look_ask_nothing_of_the_card(till: Till) -> None:
    identified, debited = APDUS[till.identify().family]
    for order, apdus in ((top_up("o-1", 700, "cash"), 0), (None, 0), (coffee("o-2"), debited)):
        till.reader.sent.clear()
        assert till.tap(order) is not None
        assert len(till.reader.sent) == identified + apdus


def used_elsewhere(till: Till, times: int) -> None:
    """Another terminal, with a journal of its own, sells for a coin each time."""
    for number in range(times):
        _, purse = till.hold()
        charge = Charge(
            tid=number.to_bytes(16, "big"),
            reader_id=reader_id("t-0002"),
            amount=1,
            number=number,
            wall_ms=till.time.wall_ms,
        )
        purse.debit(purse.prepare(charge))


def test_a_card_that_cannot_tell_any_more_is_not_asked_twice(till: Till) -> None:
    order = coffee("o-1")
    till.reader.faults.cut_after(sum(APDUS[till.identify().family]), answer_lost=True)
    assert till.tap(order) is None
    used_elsewhere(till, 12)
    held = till.identify().balance_before
    answer = till.tap(order)
    assert answer is not None
    assert (answer.state, answer.code) == (AnswerState.DECLINED, CARD_IN_DOUBT)
    assert till.identify().balance_before == held == BALANCE - COFFEE - 12
    (purse,) = purses(till.records()).values()
    assert [debit.amount for debit in purse.torn] == [COFFEE], "nobody is told of it"
    assert till.books.journal.intent_of(till.reference) is None


def test_no_debit_has_a_number_that_one_could_have_recorded_an_answer_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two terminals at the same place of their journals: a purse's answer to one fits no other."""
    numbers = []
    prepare = FailingPurse.prepare

    def noted(purse: FailingPurse, charge: Charge) -> bytes:
        numbers.append(charge.number % (1 << 16))
        return prepare(purse, charge)

    monkeypatch.setattr(FailingPurse, "prepare", noted)
    for name in "ab":
        with closing(Till(tmp_path / name, "pboc_purse")) as till:
            for number in range(4):
                assert till.tap(coffee(f"o-{number}")) is not None
    assert len(set(numbers)) > 4


def test_the_clock_is_said_to_be_set_once(till: Till) -> None:
    order = coffee("o-1")
    till.reader.faults.cut_after(sum(APDUS[till.identify().family]), answer_lost=True)
    assert till.tap(order) is None
    till.time.wall_ms += 3_600_000
    assert till.tap(order) is not None
    assert till.tap(None) is not None
    steps = [record for record in till.records() if record.kind is Kind.CLOCK_STEP]
    assert len(steps) == 1


def test_a_card_that_tells_nonsense_now_is_settled_all_the_same(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    till.reader.faults.cut_after(sum(APDUS[till.identify().family]))
    assert till.tap(coffee("o-1")) is None
    identify = till.identify
    huge = replace(identify(), balance_before=1 << 60)
    monkeypatch.setattr(till, "identify", lambda: huge)
    monkeypatch.setattr(FailingPurse, "fate", lambda *_: Settled(Fate.NOT_MOVED))
    answer = till.tap(None)
    assert answer is not None
    assert answer.code == "unrecordable"
    assert till.books.journal.intent_of(till.reference) is None


def test_what_the_card_paid_is_not_taken_back_at_a_terminal(till: Till) -> None:
    sold = till.tap(coffee("o-1"))
    assert sold is not None
    answer = till.tap(void("o-2", bytes.fromhex(sold.tid)))
    assert answer is not None
    assert (answer.state, answer.code) == (AnswerState.DECLINED, "void_card_purse")
    agrees(till)


def test_a_card_that_cannot_tell_is_left_to_a_person(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    till.reader.faults.cut_after(sum(APDUS[till.identify().family]), answer_lost=False)
    assert till.tap(coffee("o-1")) is None
    monkeypatch.setattr(FailingPurse, "fate", lambda *_: Settled(Fate.UNKNOWN))
    assert till.tap(None) is not None
    reasons = [each.reason for each in till.records() if each.kind is Kind.CARD_EVENT]
    assert reasons == ["card_torn", CARD_IN_DOUBT, "balance_shown"]
