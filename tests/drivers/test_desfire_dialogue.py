"""The DESFire dialogue: who it is, what is debited, what a card torn away at any point leaves."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.card import CardIdentity, CardTrust
from drivers.cards.desfire import identify
from drivers.desfire.layout import CHANGE_KEY, RECORDS_KEPT
from drivers.desfire.purse import Changed, Intent, debit, fate, open_purse, resolve
from drivers.errors import (
    CardBlank,
    CardForeign,
    CardForged,
    CardGone,
    CardRefused,
    CardUnknown,
    DriverError,
)
from drivers.exchange import Deadlines, hold
from drivers.purse import Fate
from drivers.virtual.cards.desfire import DesfireCard
from drivers.virtual.cards.desfire_state import EV1
from protocol import transaction_mac
from protocol.card_keys import SiteKey
from protocol.desfire_purse import TRANSACTION_FILE, Record
from protocol.desfire_purse import key_input as input_of
from protocol.record import CardClass
from tests.drivers.desfire_world import (
    BALANCE,
    DESFIRE_TRUST,
    ESTATE,
    PIER,
    QUAY,
    READER_ID,
    blank_desfire,
    intent_of,
    issued_desfire,
    load,
    loaded_desfire,
    opened,
    reference,
    tid,
    uid,
)
from tests.drivers.frame_world import check_transcript, draws, spoken
from tests.drivers.world import NONCE, DirectReader, do, member_card

AMOUNT = 700
DEBIT_APDUS = 4


def ask(
    reader: DirectReader, trust: CardTrust = DESFIRE_TRUST, nonce: bytes = NONCE
) -> CardIdentity:
    """Present the card and identify it."""
    reader.card.reset()
    dialogue = identify(trust, reader.presented, nonce)
    return hold(dialogue, reader, Deadlines(), time.monotonic, extended=False)


def test_a_member_card_proves_itself_in_five_commands() -> None:
    reader = DirectReader(loaded_desfire())
    identity = ask(reader)
    assert (identity.family, identity.assurance) == ("desfire", CardClass.VALUE)
    assert identity.reference == reference()
    assert (identity.counter, identity.balance_before, identity.balance_after) == (1, BALANCE, None)
    assert [command[1] for command in reader.sent] == [0x5A, 0x71, 0xAF, 0x6C, 0xBD]
    assert identity.proof[:4] == (1).to_bytes(4, "little")
    assert len(identity.proof) == 12
    assert uid().hex() not in repr(identity)


def test_the_uid_is_asked_for_when_the_reader_does_not_tell_it() -> None:
    reader = DirectReader(loaded_desfire())
    dialogue = identify(DESFIRE_TRUST, replace(reader.presented, uid=None), NONCE)
    identity = hold(dialogue, reader, Deadlines(), time.monotonic, extended=False)
    assert identity.reference == reference()
    assert [command[1] for command in reader.sent][1:4] == [0x60, 0xAF, 0xAF]


def test_a_card_that_hides_its_uid_from_all_is_not_ours() -> None:
    reader = DirectReader(loaded_desfire())
    reader.card.state.uid = bytes(7)  # type: ignore[attr-defined]
    dialogue = identify(DESFIRE_TRUST, replace(reader.presented, uid=b"\x08abc"), NONCE)
    with pytest.raises(CardForeign):
        hold(dialogue, reader, Deadlines(), time.monotonic, extended=False)


@pytest.mark.parametrize("site", [QUAY, PIER])
def test_each_site_of_the_card_opens_it(site: SiteKey) -> None:
    identity = ask(DirectReader(loaded_desfire()), replace(DESFIRE_TRUST, site=site))
    assert identity.reference == reference()


def test_a_terminal_without_a_key_or_of_another_site_does_not_read_it() -> None:
    for site in (None, replace(QUAY, secret=bytes(16)), ESTATE.site_key("mall", 0)):
        with pytest.raises(CardForeign):
            ask(DirectReader(loaded_desfire()), replace(DESFIRE_TRUST, site=site))
    with pytest.raises(CardBlank):
        ask(DirectReader(loaded_desfire()), replace(DESFIRE_TRUST, site=ESTATE.site_key("mall", 5)))


def test_other_cards_are_left_to_other_families() -> None:
    for card in (blank_desfire(), member_card()):
        with pytest.raises(CardUnknown):
            ask(DirectReader(card))


def test_a_copy_with_another_uid_has_the_wrong_key() -> None:
    card = loaded_desfire()
    card.state.uid = uid(2)
    with pytest.raises(CardForeign):
        ask(DirectReader(card))


class Impostor:
    """A card without keys: it knows how a good card answers, not what."""

    atr = uid = historical = b""

    def reset(self) -> None:
        """It keeps nothing."""

    def transmit(self, apdu: bytes) -> bytes:
        answers = {0x5A: b"\x91\x00", 0x71: bytes(16) + b"\x91\xaf", 0xAF: bytes(32) + b"\x91\x00"}
        return answers.get(apdu[1], b"\x91\x00")


def test_a_card_without_the_key_is_forged() -> None:
    reader = DirectReader(Impostor())
    dialogue = identify(DESFIRE_TRUST, replace(reader.presented, uid=uid()), NONCE)
    with pytest.raises(CardForged):
        hold(dialogue, reader, Deadlines(), time.monotonic, extended=False)


def old_card() -> DesfireCard:
    """An EV1 card of before: no transaction file."""
    card = loaded_desfire()
    card.state.generation = EV1
    del card.state.applications["014cf5"].files[TRANSACTION_FILE]
    return DesfireCard(card.state)


def test_an_old_card_says_less() -> None:
    reader = DirectReader(old_card())
    identity = ask(reader)
    assert (identity.assurance, identity.counter) == (CardClass.SECURE, None)
    assert (identity.balance_before, identity.proof) == (BALANCE, b"")
    assert [command[1] for command in reader.sent] == [0x5A, 0x71, 0xAA, 0xAF, 0x6C]
    intent = Intent(tid=tid(1), reader_id=READER_ID, amount=1, counter=0, balance=BALANCE)
    with pytest.raises(CardRefused, match="EV1"):
        do(debit(opened(reader), intent), reader)
    assert do(fate(opened(reader), intent), reader) is Fate.UNKNOWN
    with pytest.raises(CardForeign):
        ask(reader, replace(DESFIRE_TRUST, site=replace(QUAY, secret=bytes(16))))


def test_a_debit_takes_four_commands_and_is_proved() -> None:
    reader = DirectReader(loaded_desfire())
    purse = opened(reader)
    reader.sent.clear()
    done = do(debit(purse, intent_of(purse)), reader)
    assert [command[1] for command in reader.sent] == [0x3B, 0xDC, 0xC8, 0xC7]
    assert done.balance_after == BALANCE - AMOUNT
    assert done.proof.counter == 2
    after = opened(reader)
    assert (after.balance, after.last) == (BALANCE - AMOUNT, done.proof)
    assert proved(done)


def proved(done: Changed) -> bool:
    """Whether the cloud believes it."""
    key = ESTATE.transaction_key(input_of(uid(), CHANGE_KEY)).secret
    keys = transaction_mac.session_keys(key, done.proof.counter, uid())
    return transaction_mac.verify(keys, done.transaction_input, done.proof.mac)


def test_what_the_proof_covers_cannot_be_changed() -> None:
    reader = DirectReader(loaded_desfire())
    purse = opened(reader)
    done = do(debit(purse, intent_of(purse)), reader)
    for at in range(len(done.transaction_input)):
        said = bytearray(done.transaction_input)
        said[at] ^= 1
        assert not proved(replace(done, transaction_input=bytes(said)))
    assert not proved(replace(done, proof=replace(done.proof, counter=3)))


def test_a_credit_is_proved_too_and_names_the_reader_before() -> None:
    reader = DirectReader(loaded_desfire())
    done = load(reader, 100)
    assert done.balance_after == BALANCE + 100
    assert proved(done)
    key = ESTATE.transaction_key(input_of(uid(), CHANGE_KEY)).secret
    keys = transaction_mac.session_keys(key, done.proof.counter, uid())
    enciphered = done.transaction_input[-48:][17:33]
    assert transaction_mac.decrypt_reader_id(keys, enciphered) == READER_ID


@pytest.mark.parametrize("amount", [0, -1, BALANCE + 1])
def test_an_amount_that_is_not_there_is_never_said_to_the_card(amount: int) -> None:
    reader = DirectReader(loaded_desfire())
    purse = opened(reader)
    reader.sent.clear()
    with pytest.raises(ValueError, match="amount"):
        do(debit(purse, intent_of(purse, amount=amount)), reader)
    assert not reader.sent


def test_an_intent_of_another_state_is_refused() -> None:
    reader = DirectReader(loaded_desfire())
    purse = opened(reader)
    with pytest.raises(ValueError, match="state"):
        do(debit(purse, replace(intent_of(purse), counter=7)), reader)


def torn(apdu: int, *, answer_lost: bool) -> tuple[DirectReader, Intent]:
    """A card that left at the n-th command of a debit, and the intent on the disk."""
    reader = DirectReader(loaded_desfire())
    purse = opened(reader)
    intent = intent_of(purse)
    reader.faults.cut_after(apdu, answer_lost=answer_lost)
    with pytest.raises(CardGone):
        do(debit(purse, intent), reader)
    return reader, intent


POINTS = [(n, lost) for n in range(1, DEBIT_APDUS + 1) for lost in (False, True)]


@pytest.mark.parametrize(("apdu", "answer_lost"), POINTS)
def test_a_torn_debit_is_found_out_at_the_next_tap(apdu: int, answer_lost: bool) -> None:  # noqa: FBT001
    reader, intent = torn(apdu, answer_lost=answer_lost)
    moved = (apdu, answer_lost) == (DEBIT_APDUS, True)
    after = opened(reader)
    assert after.balance == BALANCE - AMOUNT * moved
    reader.sent.clear()
    assert do(fate(after, intent), reader) is (Fate.MOVED if moved else Fate.NOT_MOVED)
    assert len(reader.sent) == moved


@pytest.mark.parametrize(("apdu", "answer_lost"), POINTS)
@pytest.mark.parametrize("others", range(RECORDS_KEPT + 2))
def test_other_debits_since_do_not_hide_it(apdu: int, answer_lost: bool, others: int) -> None:  # noqa: FBT001
    reader, intent = torn(apdu, answer_lost=answer_lost)
    moved = (apdu, answer_lost) == (DEBIT_APDUS, True)
    for number in range(others):
        purse = opened(reader)
        do(debit(purse, intent_of(purse, 10 + number, 1)), reader)
    found = do(fate(opened(reader), intent), reader)
    if others + moved > RECORDS_KEPT:
        assert found is Fate.UNKNOWN
    else:
        assert found is (Fate.MOVED if moved else Fate.NOT_MOVED)


@pytest.mark.parametrize("apdu", range(1, 6))
@pytest.mark.parametrize("answer_lost", [False, True])
def test_a_card_torn_away_while_it_is_identified_is_unchanged(
    apdu: int,
    answer_lost: bool,  # noqa: FBT001
) -> None:
    reader = DirectReader(loaded_desfire())
    before = deepcopy(reader.card.state)  # type: ignore[attr-defined]
    reader.faults.cut_after(apdu, answer_lost=answer_lost)
    with pytest.raises(CardGone):
        ask(reader)
    assert reader.card.state == before  # type: ignore[attr-defined]
    assert ask(reader).balance_before == BALANCE


@pytest.mark.parametrize("apdu", range(1, 7))
@pytest.mark.parametrize("answer_lost", [False, True])
def test_a_torn_credit_is_found_out_too(apdu: int, answer_lost: bool) -> None:  # noqa: FBT001
    reader = DirectReader(issued_desfire())
    intent = intent_of(opened(reader), 99, AMOUNT)
    reader.faults.cut_after(5 + apdu, answer_lost=answer_lost)
    with pytest.raises(CardGone):
        load(reader, AMOUNT)
    moved = (apdu, answer_lost) == (6, True)
    after = opened(reader)
    assert after.balance == AMOUNT * moved
    assert do(fate(after, intent), reader) is (Fate.MOVED if moved else Fate.NOT_MOVED)


RECORDS = st.lists(st.integers(0, 9).map(lambda n: Record(tid(n), READER_ID)), max_size=5)


@given(st.integers(0, 9), st.integers(-3, 20), RECORDS)
def test_a_fate_is_only_told_when_it_is_known(
    number: int, since: int, records: list[Record]
) -> None:
    intent = Intent(tid=tid(number), reader_id=READER_ID, amount=1, counter=3, balance=9)
    told = resolve(intent, 3 + since, records)
    if Record(tid(number), READER_ID) in records:
        assert told is Fate.MOVED
    else:
        assert told is (Fate.NOT_MOVED if 0 <= since <= len(records) else Fate.UNKNOWN)


@pytest.mark.parametrize("apdu", range(2, 10))
def test_no_changed_answer_passes(apdu: int) -> None:
    """Every bit of every protected answer of a whole tap: our error, never another balance."""
    for bit in range(0, 8 * 24, 5):
        reader = Changing(loaded_desfire(), apdu, bit)
        try:
            purse = do(open_purse(QUAY, reader.presented, os.urandom(16)), reader)
            assert (purse.balance, purse.last and purse.last.counter) == (BALANCE, 1)
            done = do(debit(purse, intent_of(purse)), reader)
        except DriverError:
            continue
        assert done.balance_after == BALANCE - AMOUNT
        assert not reader.changed


class Changing(DirectReader):
    """A line that turns one bit of the n-th answer, when it is that long."""

    def __init__(self, card: DesfireCard, apdu: int, bit: int) -> None:
        super().__init__(card)
        self._apdu, self._bit, self.changed = apdu, bit, False

    def transmit(self, command: bytes, deadline_s: float) -> bytes:
        answer = bytearray(super().transmit(command, deadline_s))
        if len(self.sent) == self._apdu and self._bit < 8 * (len(answer) - 2):
            answer[self._bit // 8] ^= 1 << self._bit % 8
            self.changed = True
        return bytes(answer)


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=70) | st.just(b"\x91\x00") | st.just(b"\x91\xaf"), max_size=9))
def test_garbage_from_a_card_is_a_driver_error(answers: list[bytes]) -> None:
    for first in ([], [b"\x91\x00"], [b"\x91\x00", bytes(16) + b"\x91\xaf"]):
        reader = DirectReader(Scripted([*first, *answers]))
        with pytest.raises(DriverError):
            do(open_purse(QUAY, reader.presented, NONCE), reader)


class Scripted(Impostor):
    """A card that answers each command with the next of some bytes."""

    def __init__(self, answers: list[bytes]) -> None:
        self._answers = iter(answers)

    def transmit(self, apdu: bytes) -> bytes:
        del apdu
        return next(self._answers, b"\x91\xaf")


def whole_tap(reader: DirectReader) -> str:
    """Identify and debit; how it ended."""
    purse = do(open_purse(QUAY, reader.presented, NONCE), reader)
    if purse.last is None:
        return f"{purse.balance}"
    done = do(debit(purse, intent_of(purse)), reader)
    return f"{purse.balance} {done.balance_after} {done.proof.encode().hex()}"


@pytest.mark.parametrize(
    ("name", "title", "make"),
    [
        ("value_tap", "EV2: identified, 700 debited under a transaction MAC.", loaded_desfire),
        ("ev1", "EV1: the older authentication, and no transaction MAC.", old_card),
    ],
)
def test_a_recorded_tap_is_said_again(
    name: str, title: str, make: Callable[[], DesfireCard]
) -> None:
    reader = DirectReader(DesfireCard(make().state, draw=draws()))
    known = (title, f"nonce: {NONCE.hex()}", f"outcome: {whole_tap(reader)}")
    check_transcript(f"desfire/{name}.txt", spoken(reader.said, *known))
