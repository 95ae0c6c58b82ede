"""What the purse on a card paid: an account of its own, and nothing that a void could give back."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import delete, select

from cloud.ledger.ingest import UNBALANCED, UNKNOWN_CARD
from cloud.ledger.transaction import Ledger
from cloud.storage.schema import balances, entries
from protocol.record import Card, CardClass, Kind, Sealed, Tender
from tests.cloud.ledger.books import fold_of, reasons, verdict_of
from tests.cloud.town import Till, Town, reference_of

PRICE = 300


def card(before: int, after: int | None, assurance: CardClass = CardClass.VALUE) -> Card:
    """Ann's, as it was when the terminal was done with it."""
    return Card(reference_of("ann"), "desfire", assurance, 2, before, after)


def sold(till: Till, **fields: Any) -> Sealed:
    """A bun that Ann's card paid."""
    made = {"card": card(5_000, 5_000 - PRICE), "tenders": (Tender("card_purse", PRICE),)}
    return till.sale("ann", **{**made, **fields})


def held(town: Town) -> dict[str, int]:
    """What stands on the accounts."""
    with town.database.read() as connection:
        rows = connection.execute(select(balances.c.account, balances.c.amount)).all()
    return {account: amount for account, amount in rows if amount}


def test_what_a_card_paid_is_owed_by_who_loaded_it(town: Town, ledger: Ledger, till: Till) -> None:
    ledger.ingest([till.batch(sold(till))])
    purse = f"purse:{reference_of('ann').hex()}"
    assert held(town) == {
        purse: PRICE,
        "sales:site-1": -PRICE,
        "points_granted": 3,
        "points:ann": -3,
    }
    assert fold_of(town.database, "ann").balance == 0
    assert not verdict_of(town.database).wrong


@pytest.mark.parametrize("void_first", [False, True])
@pytest.mark.parametrize("kind", [Kind.SALE, Kind.TOP_UP])
def test_no_void_of_any_terminal_takes_it_back(
    town: Town,
    ledger: Ledger,
    till: Till,
    kind: Kind,
    void_first: bool,  # noqa: FBT001
) -> None:
    if kind is Kind.SALE:
        paid, moved = sold(till), {"sales:site-1": -PRICE, "points:ann": -3}
    else:  # a torn debit whose order had ended
        tenders = (Tender("card_purse", PRICE),)
        paid = till.top_up("ann", PRICE, card=card(5_000, 5_000 - PRICE), tenders=tenders)
        moved = {f"purse:{reference_of('ann').hex()}": PRICE, "principal:ann": -PRICE}
    other = town.add_till("t-0002")
    ledger.ingest([other.batch(other.open())])
    batches = [till.batch(paid), other.batch(other.void("ann", paid.record.tid))]
    for batch in reversed(batches) if void_first else batches:
        ledger.ingest([batch])
    assert moved.items() <= held(town).items()
    assert not reasons(town.database)
    assert not verdict_of(town.database).wrong


def test_a_void_does_not_hide_that_a_sale_was_struck_out(
    town: Town, ledger: Ledger, till: Till
) -> None:
    paid = sold(till)
    ledger.ingest([till.batch(paid, till.void("ann", paid.record.tid))])
    with town.database.write() as connection:
        connection.execute(delete(entries))
        connection.execute(delete(balances))
    assert "t-0001/1/2: entries differ from the record's" in verdict_of(town.database).faults


@pytest.mark.parametrize(
    "wrong",
    [
        {"card": None},
        {"card": card(5_000, None)},
        {"card": card(5_000, 5_000)},
        {"card": card(5_000, 5_000 - PRICE, CardClass.UID)},
        {"card": card(PRICE - 1, -1)},
    ],
    ids=["no card", "no balance", "nothing less", "a number", "below zero"],
)
def test_a_card_that_cannot_have_paid_is_kept_apart(
    town: Town, ledger: Ledger, till: Till, wrong: dict[str, Any]
) -> None:
    ledger.ingest([till.batch(sold(till, **wrong))])
    assert reasons(town.database) == [UNBALANCED if wrong["card"] else UNKNOWN_CARD]
    assert held(town) == {}
