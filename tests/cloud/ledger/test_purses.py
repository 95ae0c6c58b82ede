"""What terminals read of one card, put side by side: torn debits, and what cannot be true."""

from __future__ import annotations

from random import Random

import pytest

from cloud.ledger.purses import MOVED, NOT_MOVED, OPEN, Purse, purses
from protocol.chain import Head
from protocol.membership.event import CARD_TORN
from protocol.record import Card, CardClass, Kind, Record, Tender
from tests.cloud.town import Till, key_of, make_bundle

REFERENCE = bytes(range(16))
TORN_TID = b"the torn debit's"


def card(counter: int, before: int, after: int | None = None, family: str = "desfire") -> Card:
    return Card(REFERENCE, family, CardClass.VALUE, counter, before, after)


@pytest.fixture
def till() -> Till:
    return Till("t-0001", key_of("t-0001"), Head(1, 0, bytes(32)), make_bundle(), Random(1))


def seen(till: Till, counter: int, balance: int) -> Record:
    """A tap that only looks."""
    return till.record(Kind.CARD_EVENT, card=card(counter, balance), reason="balance_shown").record


def paid(till: Till, counter: int, before: int, amount: int, **fields: object) -> Record:
    """A sale that the card paid as its ``counter``-th change."""
    made = {"card": card(counter, before, before - amount), "order": f"o-{till.head.seq}"}
    tenders = (Tender("card_purse", amount),)
    return till.record(Kind.SALE, **{**made, "tenders": tenders, **fields}).record


def torn(till: Till, counter: int, balance: int, amount: int) -> Record:
    """A debit after which the card was gone."""
    tenders = (Tender("card_purse", amount),)
    fields = {"card": card(counter, balance), "tenders": tenders, "refers_to": TORN_TID}
    return till.record(Kind.CARD_EVENT, reason=CARD_TORN, **fields).record


def of(*records: Record) -> Purse:
    made = purses(reversed(records))
    assert set(made) == {REFERENCE}
    return made[REFERENCE]


def test_a_purse_holds_what_its_newest_counter_says(till: Till) -> None:
    purse = of(seen(till, 1, 900), paid(till, 2, 900, 300), paid(till, 3, 600, 200))
    assert (purse.balance, purse.taken, purse.torn, purse.contradicting) == (400, 500, (), ())


def test_a_card_without_a_purse_has_none(till: Till) -> None:
    assert purses([till.open().record, till.sale("m-1").record]) == {}


def test_a_torn_debit_is_open_until_the_card_is_seen(till: Till) -> None:
    first = torn(till, 4, 900, 300)
    (debit,) = of(first).torn
    assert (debit.record, debit.amount, debit.fate) == (first, 300, OPEN)


def test_what_another_terminal_sees_tells_its_fate(till: Till) -> None:
    first = torn(till, 4, 900, 300)
    fates = {
        MOVED: [seen(till, 5, 600)],
        NOT_MOVED: [seen(till, 4, 900)],
        OPEN: [seen(till, 9, 100)],
    }
    for fate, later in fates.items():
        assert of(first, *later).torn[0].fate == fate
    assert of(first, paid(till, 5, 900, 300)).torn[0].fate == NOT_MOVED, "another debit was the 5th"
    assert of(first, paid(till, 6, 600, 100)).torn[0].fate == MOVED


def test_what_was_seen_before_the_tear_says_nothing_of_it(till: Till) -> None:
    assert of(seen(till, 4, 900), torn(till, 4, 900, 300)).torn[0].fate == OPEN


def test_its_own_terminal_settles_it(till: Till) -> None:
    first = torn(till, 4, 900, 300)
    fields = {"card": card(4, 900), "refers_to": TORN_TID}
    settled = till.record(Kind.CARD_EVENT, reason="card_not_debited", **fields).record
    assert not of(first, settled).torn
    late = paid(till, 5, 900, 300, tid=TORN_TID)
    purse = of(first, late)
    assert (purse.torn, purse.contradicting, purse.taken) == ((), (), 300)


def test_a_card_that_could_not_tell_leaves_it_to_what_others_saw(till: Till) -> None:
    first, since = torn(till, 4, 900, 300), [paid(till, 6 + n, 600 - n, 1) for n in range(6)]
    fields = {"card": card(11, 594), "refers_to": TORN_TID}
    unknown = till.record(Kind.CARD_EVENT, reason="card_fate_unknown", **fields).record
    assert of(first, unknown).torn[0].fate == OPEN
    assert of(first, *since, unknown).torn[0].fate == MOVED


def test_two_debits_cannot_be_the_same_one(till: Till) -> None:
    first, second = paid(till, 2, 900, 300), paid(till, 2, 900, 200)
    assert of(first, second).contradicting == (second,)


def test_two_balances_cannot_be_one(till: Till) -> None:
    first, second = seen(till, 2, 900), seen(till, 2, 901)
    assert of(first, second).contradicting == (second,)
    gap = paid(till, 3, 850, 100)
    assert of(first, gap).contradicting == (gap,)


def test_a_load_moves_no_counter_of_a_pboc_purse(till: Till) -> None:
    before, after = (
        till.record(Kind.CARD_EVENT, card=card(2, held, family="pboc_purse")).record
        for held in (900, 1_900)
    )
    purse = of(before, after)
    assert (purse.balance, purse.contradicting) == (1_900, ())
