"""The PBOC purse: who it is, what is paid and loaded, what a card torn away leaves."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.apdu import ResponseApdu, Steps
from drivers.card import CardTrust
from drivers.cards import pboc_purse
from drivers.cards.pboc_purse import (
    LOG_RECORDS,
    Debited,
    Loaded,
    begin,
    debit,
    fate,
    get_balance,
    load,
    load_proof,
    offer_load,
    open_purse,
    resolve,
)
from drivers.errors import (
    CardExpired,
    CardForeign,
    CardForged,
    CardGone,
    CardRefused,
    CardUnknown,
    ChannelBroken,
    DriverError,
)
from drivers.exchange import Deadlines, hold
from drivers.purse import Fate
from drivers.secure_channel.pboc_host import LoadGrant, proves_load
from protocol.credential import card_reference
from protocol.pboc_purse import proves_purchase, transaction
from protocol.record import CardClass
from tests.drivers.frame_world import ESTATE, check_transcript, draws, spoken
from tests.drivers.purse_world import (
    AMOUNT,
    BALANCE,
    GRANTED_AT,
    OTHER_TERMINAL,
    PURSE_TRUST,
    TERMINAL,
    Cloud,
    ask,
    begun,
    claim,
    fill,
    host,
    number,
    opened,
    pay,
    purse_card,
    state,
    transaction_key,
)
from tests.drivers.rigs import Rig, present
from tests.drivers.world import NONCE, TRUST, DirectReader, do, member_card


def test_a_purse_says_who_it_is_what_it_holds_and_how_often_it_paid() -> None:
    reader = DirectReader(purse_card())
    pay(reader, claim())
    reader.sent.clear()
    identity = ask(reader)
    assert identity.assurance is CardClass.VALUE
    assert identity.reference == card_reference(TRUST.reference_key, "pboc_purse", number())
    assert (identity.counter, identity.balance_before) == (1, BALANCE - AMOUNT)
    assert identity.proof[:8] == NONCE[:8]
    assert [sent[1] for sent in reader.sent] == [0xA4, 0xB0, 0x50, 0x88]
    assert number().hex() not in repr(identity)


@pytest.mark.parametrize(
    ("trust", "error"),
    [
        (TRUST, CardForeign),
        (replace(TRUST, site=ESTATE.site_key("mall", 1)), CardForeign),
        (replace(TRUST, site=ESTATE.site_key("mall", 0)), CardForged),
        (replace(PURSE_TRUST, day=20_089), CardExpired),
    ],
)
def test_a_card_that_is_not_for_here(trust: CardTrust, error: type[DriverError]) -> None:
    with pytest.raises(error):
        ask(DirectReader(purse_card()), trust)


def test_a_card_is_good_through_its_last_day() -> None:
    assert ask(DirectReader(purse_card()), replace(PURSE_TRUST, day=20_088)).balance_before


def test_a_purse_on_another_card_is_unknown() -> None:
    with pytest.raises(CardUnknown):
        ask(DirectReader(member_card(1)))


def test_a_purchase_is_proved_to_terminal_and_cloud() -> None:
    reader = DirectReader(purse_card())
    purse, purchase = begun(reader)
    debited = do(debit(purse, purchase), reader)
    assert debited == Debited(0, debited.tac, BALANCE - AMOUNT)
    assert do(get_balance(), reader) == BALANCE - AMOUNT
    assert proves_purchase(transaction_key(), claim(), debited.tac)
    assert not proves_purchase(transaction_key(), claim(2), debited.tac)
    assert not proves_purchase(transaction_key(2), claim(), debited.tac)


def test_a_load_is_granted_by_the_holder_of_the_credit_key_alone() -> None:
    reader = DirectReader(purse_card())
    cloud = Cloud()
    loaded = do(
        load(opened(reader), AMOUNT, TERMINAL, cloud),
        reader,
    )
    assert loaded == Loaded(0, loaded.tac, BALANCE + AMOUNT)
    assert proves_load(transaction_key(), cloud.requests[0], GRANTED_AT, loaded.tac)
    assert not proves_load(transaction_key(2), cloud.requests[0], GRANTED_AT, loaded.tac)
    assert ask(reader).balance_before == BALANCE + AMOUNT
    with pytest.raises(CardRefused):
        do(load(opened(reader), 1, TERMINAL, lambda _: LoadGrant(GRANTED_AT, bytes(4))), reader)
    assert ask(reader).balance_before == BALANCE + AMOUNT


def test_an_offer_that_the_card_did_not_make_is_not_granted() -> None:
    reader = DirectReader(purse_card())
    request = do(offer_load(opened(reader), AMOUNT, TERMINAL), reader)
    for other in (
        request._replace(amount=AMOUNT + 1),
        request._replace(offer=request.offer._replace(balance=0)),
        request._replace(terminal=OTHER_TERMINAL),
    ):
        with pytest.raises(CardForged):
            host(other)


def test_a_purchase_that_cannot_be_is_not_begun() -> None:
    reader = DirectReader(purse_card())
    purse = opened(reader)
    for amount in (0, -1, BALANCE + 1):
        with pytest.raises(ValueError, match="amount"):
            do(begin(purse, claim(amount=amount)), reader)
    pay(reader, claim())
    with pytest.raises(ChannelBroken, match="changed"):
        do(begin(purse, claim(2)), reader)


# Torn taps: a purchase is INITIALIZE (1) and DEBIT (2).
POINTS = [(apdu, lost) for apdu in (1, 2) for lost in (False, True)]


def torn_purchase(answer_lost: bool) -> tuple[DirectReader, pboc_purse.Purchase]:  # noqa: FBT001
    """A card that left at DEBIT, and the purchase on the disk."""
    reader = DirectReader(purse_card())
    purse, purchase = begun(reader)
    reader.faults.cut_after(1, answer_lost=answer_lost)
    with pytest.raises(CardGone):
        do(debit(purse, purchase), reader)
    return reader, purchase


@pytest.mark.parametrize("lost", [False, True])
def test_a_card_torn_away_before_anything_was_written_down_paid_nothing(lost: bool) -> None:  # noqa: FBT001
    reader = DirectReader(purse_card())
    purse = opened(reader)
    reader.faults.cut_after(1, answer_lost=lost)
    with pytest.raises(CardGone):
        do(begin(purse, claim()), reader)
    after = opened(reader)
    assert (after.balance, after.sequence) == (BALANCE, 0)


@pytest.mark.parametrize("lost", [False, True])
def test_a_torn_debit_is_found_out_at_the_next_tap(lost: bool) -> None:  # noqa: FBT001
    reader, purchase = torn_purchase(lost)
    after = opened(reader)
    assert after.balance == BALANCE - AMOUNT * lost
    reader.sent.clear()
    settled = do(fate(after, purchase), reader)
    assert settled.fate is (Fate.MOVED if lost else Fate.NOT_MOVED)
    assert len(reader.sent) == lost
    if settled.debited:
        assert settled.debited.balance_after == after.balance
        assert proves_purchase(transaction_key(), purchase.claim, settled.debited.tac)
    assert (settled.debited is not None) is lost


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("others", range(LOG_RECORDS + 2))
def test_others_since_hide_a_debit_and_never_invent_one(lost: bool, others: int) -> None:  # noqa: FBT001
    reader, purchase = torn_purchase(lost)
    for each in range(others):
        pay(reader, claim(10 + each, 1, OTHER_TERMINAL))
    found = do(fate(opened(reader), purchase), reader).fate
    if lost:  # the card proves its newest debit alone, and its log proves nothing
        assert found is (Fate.UNKNOWN if others else Fate.MOVED)
    else:
        assert found is (Fate.NOT_MOVED if others <= LOG_RECORDS else Fate.UNKNOWN)


@pytest.mark.parametrize("lost", [False, True])
def test_loads_since_never_invent_a_debit(lost: bool) -> None:  # noqa: FBT001
    reader, purchase = torn_purchase(lost)
    for _ in range(3):
        fill(reader, 1)
    assert do(fate(opened(reader), purchase), reader).fate is (
        Fate.UNKNOWN if lost else Fate.NOT_MOVED
    )


def test_a_log_that_somebody_wrote_moves_no_money() -> None:
    """Who swallows the debit and answers for the card has its log, and not its MAC2."""
    _, purchase = torn_purchase(answer_lost=False)
    details = transaction(AMOUNT, 6, TERMINAL, purchase.claim.moment)
    forged = purchase.offer.offline_seq + bytes(3) + details
    assert resolve(purchase, purchase.sequence + 1, (forged,)) is Fate.UNKNOWN


def test_a_second_try_of_the_same_amount_is_not_taken_for_the_first() -> None:
    reader, purchase = torn_purchase(answer_lost=False)
    pay(reader, claim(2))
    assert do(fate(opened(reader), purchase), reader).fate is Fate.NOT_MOVED


def test_a_card_that_counted_backwards_settles_nothing() -> None:
    reader = DirectReader(purse_card())
    pay(reader, claim())
    _, purchase = begun(reader, claim(2))
    assert resolve(purchase, 0, ()) is Fate.UNKNOWN
    assert resolve(purchase, 1, ()) is Fate.NOT_MOVED


@pytest.mark.parametrize("apdu", range(1, 5))
@pytest.mark.parametrize("lost", [False, True])
def test_a_card_torn_away_while_it_is_identified_is_unchanged(apdu: int, lost: bool) -> None:  # noqa: FBT001
    reader = DirectReader(purse_card())
    before = state(reader).dump()
    reader.faults.cut_after(apdu, answer_lost=lost)
    with pytest.raises(CardGone):
        ask(reader)
    assert state(reader).dump() == before


@pytest.mark.parametrize(("apdu", "lost"), POINTS)
def test_a_torn_load_is_told_to_the_cloud(apdu: int, lost: bool) -> None:  # noqa: FBT001
    reader, cloud = DirectReader(purse_card()), Cloud()
    purse = opened(reader)
    reader.faults.cut_after(apdu, answer_lost=lost)
    with pytest.raises(CardGone):
        do(
            load(purse, AMOUNT, TERMINAL, cloud),
            reader,
        )
    moved = (apdu, lost) == (2, True)
    assert opened(reader).balance == BALANCE + AMOUNT * moved
    assert len(cloud.requests) == (apdu == 2)
    for request in cloud.requests:
        tac = do(load_proof(request), reader)
        assert proves_load(transaction_key(), request, GRANTED_AT, tac) is moved
        fill(reader, AMOUNT)  # another load does not pass for it
        tac = do(load_proof(request), reader)
        assert not proves_load(transaction_key(), request, GRANTED_AT, tac)


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=40), max_size=6))
def test_garbage_from_a_card_is_a_driver_error(answers: list[bytes]) -> None:
    dialogue = open_purse(PURSE_TRUST, NONCE)
    next(dialogue)
    with pytest.raises(DriverError):  # noqa: PT012 - whichever answer ends it
        for answer in answers:
            dialogue.send(ResponseApdu(answer, 0x9000))
        dialogue.send(ResponseApdu(b"", 0x6F00))


# Both buses.


def test_a_purchase_over_a_real_reader_stack(rig: Rig) -> None:
    card = purse_card()
    rig.carrier.insert(card)
    with rig.reader() as reader:
        presented = present(reader)

        def held(steps: Steps[object]) -> object:
            return hold(steps, reader, Deadlines(), time.monotonic, extended=presented.extended)

        purse = held(open_purse(PURSE_TRUST, NONCE))
        assert isinstance(purse, pboc_purse.OpenPurse)
        purchase = held(begin(purse, claim()))
        assert isinstance(purchase, pboc_purse.Purchase)
        debited = held(debit(purse, purchase))
        assert isinstance(debited, Debited)
        assert proves_purchase(transaction_key(), claim(), debited.tac)
        held(load(purse, AMOUNT, TERMINAL, host))
    assert card.state.purse.balance == BALANCE


# Transcripts.


def whole_purchase() -> Steps[object]:
    purse = yield from open_purse(PURSE_TRUST, NONCE)
    purchase = yield from begin(purse, claim())
    return (yield from debit(purse, purchase))


def whole_load() -> Steps[object]:
    purse = yield from open_purse(PURSE_TRUST, NONCE)
    return (yield from load(purse, AMOUNT, TERMINAL, host))


@pytest.mark.parametrize("steps", [whole_purchase, whole_load])
def test_the_dialogues_are_as_recorded(steps: Callable[[], Steps[object]]) -> None:
    reader = DirectReader(purse_card(draw=draws()))
    do(steps(), reader)
    name = f"pboc_purse/{steps.__name__.removeprefix('whole_')}.txt"
    title = f"{steps.__name__.replace('_', ' ')}, nonce {NONCE.hex()}"
    check_transcript(name, spoken(reader.said, title))
