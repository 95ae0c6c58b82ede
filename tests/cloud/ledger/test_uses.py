"""What a card can say once and said twice is booked and flagged, whichever comes first."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs
from sqlalchemy import select, update

from cloud.ledger.audit import PRICE_DIFFERS
from cloud.ledger.transaction import Ledger
from cloud.ledger.uses import CARD_REPEATS, use_of
from cloud.storage.schema import card_uses, records
from protocol.moment import Moment, Quality
from protocol.qr_credential import verify
from protocol.record import Card, CardClass, Kind, Record, Tender
from protocol.signing import SIGNATURE_BYTES
from tests.cloud.ledger.books import flags, fold_of, reasons, verdict_of
from tests.cloud.town import MORNING_MS, Till, Town, card_of
from tests.protocol.phone import ISSUERS, NOW_S, TENANT, code


def proof_of(nonce: bytes = b"nonce-01") -> bytes:
    """What a terminal that reads Ann's phone writes down."""
    return verify(code(nonce=nonce), ISSUERS, TENANT, NOW_S).proof


def of(family: str, **fields: Any) -> Card:
    """Ann's card as one of another family."""
    made = {"family": family, "counter": 5, "assurance": CardClass.SECURE, **fields}
    return structs.replace(card_of("ann"), **made)


CODE = of("qr_credential", proof=proof_of())
RESIGNED = of("qr_credential", proof=CODE.proof[:-SIGNATURE_BYTES] + bytes(SIGNATURE_BYTES))
DEBIT = {"assurance": CardClass.VALUE, "balance_before": 900, "balance_after": 600}
ONCE = {
    "a code": CODE,
    "a tag's message": of("ntag424", assurance=CardClass.UID),
    "a debit of a DESFire": of("desfire", **DEBIT),
    "a debit of a PBOC purse": of("pboc_purse", **DEBIT),
}
OFTEN = {
    "a CPU card": of("cpu"),
    "a tag that authenticated": of("ntag424"),
    "a purse that did not pay": of("desfire", balance_before=900),
    "a number": of("mifare_classic", counter=None, assurance=CardClass.UID),
    "a code of another version": of("qr_credential", proof=b"short"),
}


@pytest.fixture
def tills(town: Town, ledger: Ledger) -> list[Till]:
    town.add_members("ann")
    tills = [town.add_till(f"t-{number}") for number in (1, 2)]
    ledger.ingest([till.batch(till.open()) for till in tills])
    return tills


def record(card: Card | None, kind: Kind = Kind.SALE, **fields: Any) -> Record:
    """A record with this card."""
    made: dict[str, Any] = {
        "tid": bytes(16),
        "terminal": "t-1",
        "epoch": 1,
        "seq": 1,
        "prev": bytes(32),
        "moment": Moment(b"boot-001", 0, MORNING_MS, Quality.BOUNDED, 50),
        "kind": kind,
        "card": card,
    }
    return Record(**{**made, **fields})


@pytest.mark.parametrize("card", ONCE.values(), ids=ONCE)
def test_what_is_said_once_names_card_and_counter(card: Card) -> None:
    use = use_of(record(card))
    assert use is not None
    assert use == use_of(record(card, terminal="t-2", tid=bytes(range(16))))
    assert use != use_of(record(structs.replace(card, reference=bytes(16))))
    assert use_of(record(card, Kind.VOID)) is None
    if card is CODE:
        others = [of("qr_credential", proof=proof_of(b"nonce-02"))]
        assert use == use_of(record(RESIGNED))
    else:
        others = [structs.replace(card, counter=counter) for counter in (4, 6)]
    assert all(use_of(record(other)) not in (use, None) for other in others)


@pytest.mark.parametrize("card", [*OFTEN.values(), None], ids=[*OFTEN, "nobody"])
def test_what_may_be_said_again_names_nothing(card: Card | None) -> None:
    assert use_of(record(card)) is None


@pytest.mark.parametrize("together", [True, False], ids=["together", "one after another"])
def test_a_code_at_two_terminals_is_booked_and_flagged(
    town: Town, ledger: Ledger, tills: list[Till], *, together: bool
) -> None:
    first, second = (till.top_up("ann", 500, card=CODE) for till in tills)
    batches = [till.batch(sealed) for till, sealed in zip(tills, (first, second), strict=True)]
    for part in [batches] if together else [batches[:1], batches[1:]]:
        ledger.ingest(part)
    ledger.ingest(batches)  # sent again: nothing new
    assert fold_of(town.database, "ann").principal == 1_000
    assert flags(town.database) == [CARD_REPEATS]
    assert reasons(town.database) == []
    assert verdict_of(town.database).faults == []
    with town.database.read() as connection:
        assert len(connection.execute(select(card_uses)).all()) == 1


def test_the_next_code_and_what_takes_a_sale_back_are_not_flagged(
    town: Town, ledger: Ledger, tills: list[Till]
) -> None:
    paid = tills[0].top_up("ann", 500, card=CODE)
    void = tills[0].void("ann", paid.record.tid)
    later = tills[1].top_up("ann", 500, card=of("qr_credential", proof=proof_of(b"nonce-02")))
    ledger.ingest([tills[0].batch(paid, void), tills[1].batch(later)])
    assert flags(town.database) == []


def test_what_is_kept_apart_uses_nothing_up(town: Town, ledger: Ledger, tills: list[Till]) -> None:
    """Else a record that nobody booked would put the right one under suspicion."""
    wrong = tills[0].top_up("ann", 500, card=CODE, tenders=(Tender("stored_value", 500),))
    right = tills[1].top_up("ann", 500, card=CODE)
    ledger.ingest([tills[0].batch(wrong), tills[1].batch(right)])
    assert (len(reasons(town.database)), flags(town.database)) == (1, [])


def test_a_wrong_price_is_the_louder_flag(town: Town, ledger: Ledger, tills: list[Till]) -> None:
    fair = tills[0].sale("ann", card=CODE, tender="cash")
    (line,) = fair.record.lines
    dear = tills[1].sale(
        "ann",
        card=CODE,
        lines=(structs.replace(line, net_price=line.net_price + 100),),
        tenders=(Tender("cash", line.net_price + 100),),
    )
    ledger.ingest([tills[0].batch(fair), tills[1].batch(dear)])
    assert flags(town.database) == [PRICE_DIFFERS]


def test_a_flag_that_nothing_speaks_for_is_a_fault(
    town: Town, ledger: Ledger, tills: list[Till]
) -> None:
    ledger.ingest([tills[0].batch(tills[0].top_up("ann", 500, card=CODE))])
    with town.database.write() as connection:
        connection.execute(update(records).values(audit=CARD_REPEATS))
    faults = verdict_of(town.database).faults
    assert [fault for fault in faults if CARD_REPEATS in fault] == faults
    assert faults
