"""What real dialogues with software cards proved is believed, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from msgspec import structs

from cloud.ledger.card_proofs import CARD_PROOF, Proof
from cloud.ledger.transaction import Ledger
from cloud.ledger.verify import Verdict, verify_ledger
from cloud.members import store as members
from drivers.card import CardIdentity
from drivers.cards import desfire
from drivers.purse import CardPurse, Charge, Debited, Fate
from protocol.estate import EstateKey
from protocol.identifiers import uuid7
from protocol.membership.event import CARD_PURSE
from protocol.record import Card, CardClass, Kind, Sealed, Tender
from protocol.transaction_mac import reader_id
from tests.cloud.front import new_ledger
from tests.cloud.town import CURRENCY, MORNING_MS, Till, Town, build_town, issued_card
from tests.drivers import desfire_world, frame_world, purse_world
from tests.drivers.world import TRUST, DirectReader, do

PRICE = 300  # of a p-0, the usual sale


class Wallet(NamedTuple):
    """One card on the till's reader, of Ann's."""

    family: str
    number: bytes
    estate: EstateKey
    reader: DirectReader
    open: Callable[[DirectReader], CardIdentity]


def _desfire() -> Wallet:
    reader = DirectReader(desfire_world.loaded_desfire())

    def opened(reader: DirectReader) -> CardIdentity:
        return desfire.identity(TRUST, desfire_world.opened(reader))

    return Wallet("desfire", desfire_world.uid(), desfire_world.ESTATE, reader, opened)


def _pboc() -> Wallet:
    reader = DirectReader(purse_world.purse_card())
    number, estate = purse_world.number(), frame_world.ESTATE
    return Wallet("pboc_purse", number, estate, reader, purse_world.ask)


@pytest.fixture(params=[_desfire, _pboc], ids=["desfire", "pboc_purse"])
def wallet(request: pytest.FixtureRequest) -> Wallet:
    made: Wallet = request.param()
    return made


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    database = new_ledger(tmp_path)
    yield build_town(database)
    database.close()


class Counter:
    """A till that takes money from cards, as the agent does."""

    def __init__(self, town: Town, till: Till, wallet: Wallet, *, known: bool = True) -> None:
        self.till, self.wallet, self._town = till, wallet, town
        self._done = 0
        identity = wallet.open(wallet.reader)
        with town.database.write() as connection:
            members.add_member(connection, "ann", "Ann", MORNING_MS)
            card = issued_card("ann")._replace(
                reference=identity.reference,
                family=wallet.family,
                number=wallet.number if known else None,
            )
            members.add_card(connection, card)

    def charge(self, amount: int = PRICE) -> Charge:
        """What the card is asked for next."""
        self._done += 1
        return Charge(
            tid=uuid7(MORNING_MS, self._done.to_bytes(10, "big")),
            reader_id=reader_id(self.till.terminal),
            amount=amount,
            number=self._done,
            wall_ms=MORNING_MS + 1_000 * self._done,
        )

    def taken(self) -> tuple[CardIdentity, CardPurse, Charge]:
        """The card, open, and what it is asked for."""
        identity = self.wallet.open(self.wallet.reader)
        assert identity.purse is not None
        return identity, identity.purse, self.charge()

    def pay(self) -> tuple[Card, bytes]:
        """The card as a record has it once it paid, and the id of that."""
        identity, purse, charge = self.taken()
        intent = do(purse.prepare(charge), self.wallet.reader)
        return card_of(identity, do(purse.debit(intent), self.wallet.reader)), charge.tid

    def sale(self, card: Card, tid: bytes) -> Sealed:
        """The record of it."""
        return self.till.sale("ann", card=card, tid=tid, tender=CARD_PURSE)


def card_of(identity: CardIdentity, debited: Debited) -> Card:
    """As edge.purse writes it."""
    return Card(
        identity.reference,
        identity.family,
        CardClass.VALUE,
        debited.counter,
        identity.balance_before,
        debited.balance_after,
        debited.proof,
    )


def verdict(town: Town, till: Till, wallet: Wallet, *sealed: Sealed) -> Verdict:
    """What verify says once these are in the ledger."""
    taken = Ledger(town.database, CURRENCY, lambda: MORNING_MS).ingest([till.batch(*sealed)])
    assert taken.watermarks[0].quarantined == ()
    with town.database.read() as connection:
        return verify_ledger(connection, CURRENCY, lambda _done, _of: None, wallet.estate)


def test_debits_that_happened_are_proved(town: Town, wallet: Wallet) -> None:
    till = town.add_till("t-1")
    counter = Counter(town, till, wallet)
    found = verdict(town, till, wallet, till.open(), *(counter.sale(*counter.pay()) for _ in "12"))
    assert (found.faults, found.proofs) == ([], {Proof.RIGHT: 2})
    assert "2 debits proved by cards, 0 not proved" in found.line


def flipped(card: Card) -> Card:
    """The same with one bit of the card's own MAC changed."""
    at = 5 if card.family == "desfire" else 0
    proof = bytearray(card.proof)
    proof[at] ^= 1
    return structs.replace(card, proof=bytes(proof))


WRONG: dict[str, Callable[[Card], Card]] = {
    "another MAC": flipped,
    "another card's proof": lambda card: structs.replace(card, proof=card.proof[::-1]),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_what_the_card_did_not_prove_is_found(
    town: Town, wallet: Wallet, change: Callable[[Card], Card]
) -> None:
    till = town.add_till("t-1")
    counter = Counter(town, till, wallet)
    card, tid = counter.pay()
    found = verdict(town, till, wallet, till.open(), counter.sale(change(card), tid))
    assert found.proofs == {Proof.WRONG: 1}
    assert found.faults == [f"t-1/1/2: {CARD_PROOF}: its card did not prove this debit"]


def test_another_amount_terminal_or_transaction_is_not_proved(town: Town, wallet: Wallet) -> None:
    here, there = town.add_till("t-1"), town.add_till("t-2")
    counter = Counter(town, here, wallet)
    opening, others = here.open(), there.open()
    card, tid = counter.pay()
    elsewhere = there.sale("ann", card=card, tid=tid, tender=CARD_PURSE)
    found = verdict(town, there, wallet, others, elsewhere)
    assert found.proofs == {Proof.WRONG: 1}
    card, tid = counter.pay()
    more = structs.replace(card, balance_after=(card.balance_before or 0) - 2 * PRICE)
    doubled = here.sale("ann", ("p-0", 2), card=more, tid=tid, tender=CARD_PURSE)
    found = verdict(town, here, wallet, opening, doubled)
    assert found.proofs == {Proof.WRONG: 2}


def test_of_a_card_without_its_number_nothing_is_known(town: Town, wallet: Wallet) -> None:
    till = town.add_till("t-1")
    counter = Counter(town, till, wallet, known=False)
    found = verdict(town, till, wallet, till.open(), counter.sale(*counter.pay()))
    assert (found.faults, found.proofs) == ([], {Proof.UNPROVED: 1})


def test_a_debit_behind_a_look_at_a_torn_one_is_no_fault(town: Town, wallet: Wallet) -> None:
    """In one session with records that it read the card's MAC stands over those too."""
    till = town.add_till("t-1")
    counter = Counter(town, till, wallet)
    opening, sale = till.open(), counter.sale(*counter.pay())
    identity, purse, charge = counter.taken()
    torn = do(purse.prepare(charge), wallet.reader)  # and the card is gone
    meant = card_of(identity, Debited(0, 0, b""))
    seen = structs.replace(meant, counter=identity.counter, balance_after=None, proof=b"")
    between = counter.sale(*counter.pay())
    identity, purse, charge = counter.taken()
    assert do(purse.fate(torn), wallet.reader).fate is Fate.NOT_MOVED
    event = till.record(
        Kind.CARD_EVENT,
        card=seen,
        tenders=(Tender(CARD_PURSE, PRICE),),
        refers_to=bytes(16),
        reason="card_not_debited",
    )
    intent = do(purse.prepare(charge), wallet.reader)
    card = card_of(identity, do(purse.debit(intent), wallet.reader))
    found = verdict(
        town, till, wallet, opening, sale, between, event, counter.sale(card, charge.tid)
    )
    assert found.faults == []
    unproved = int(wallet.family == "desfire")
    assert (found.proofs[Proof.RIGHT], found.proofs[Proof.UNPROVED]) == (3 - unproved, unproved)


def test_a_terminal_cannot_make_a_proof_of_nothing(town: Town, wallet: Wallet) -> None:
    """It has the site's key, and says what a card would say."""
    till = town.add_till("t-1")
    counter = Counter(town, till, wallet)
    card, tid = counter.pay()
    invented = structs.replace(
        card,
        counter=(card.counter or 0) + 1,
        balance_before=card.balance_after,
        balance_after=(card.balance_after or 0) - PRICE,
    )
    opening = till.open()
    sales = counter.sale(card, tid), counter.sale(invented, counter.charge().tid)
    found = verdict(town, till, wallet, opening, *sales)
    assert found.proofs == {Proof.RIGHT: 1, Proof.WRONG: 1}
