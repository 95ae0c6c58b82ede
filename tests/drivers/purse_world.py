"""PBOC purses for tests: issued cards, dialogues held with them, a host that grants loads."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from drivers.card import CardIdentity, CardTrust
from drivers.cards.pboc_purse import (
    CREDIT_KEY,
    FIRST_INDEX,
    PRESENCE_KEYS,
    PURCHASE_KEYS,
    OpenPurse,
    Purchase,
    begin,
    debit,
    identify,
    load,
    open_purse,
)
from drivers.secure_channel.pboc_host import LoadGrant, LoadRequest, grant
from drivers.virtual.cards.pboc_purse import PbocPurseCard
from drivers.virtual.cards.pboc_purse_state import PurseState
from protocol.card_keys import CreditKey, TransactionKey
from protocol.pboc_purse import TRANSACTION_KEY, PurchaseClaim, Purse, key_input
from tests.drivers.frame_world import ESTATE, PIER, QUAY
from tests.drivers.world import NONCE, PRESENTED, TRUST, DirectReader, do

PURSE_TRUST = replace(TRUST, site=QUAY)
TERMINAL, OTHER_TERMINAL = bytes.fromhex("000000000007"), bytes.fromhex("000000000009")
GRANTED_AT = bytes.fromhex("20241003120000")
BALANCE, AMOUNT = 5_000, 700


def number(card: int = 1) -> bytes:
    """Number of the n-th card: packed digits."""
    return bytes.fromhex(f"{card:020d}")


def credit_key(card: int = 1) -> CreditKey:
    """What the cloud grants loads with."""
    return ESTATE.credit_key(key_input(number(card), CREDIT_KEY))


def transaction_key(card: int = 1) -> TransactionKey:
    """What the cloud checks a TAC with."""
    return ESTATE.transaction_key(key_input(number(card), TRANSACTION_KEY))


def purse_card(
    card: int = 1, balance: int = BALANCE, draw: Callable[[int], bytes] = os.urandom
) -> PbocPurseCard:
    """A card as the issuer hands it out, with this balance."""

    def keys(first: int) -> dict[int, bytes]:
        return {
            FIRST_INDEX + site.slot: site.read_key(
                key_input(number(card), first + site.slot)
            ).secret
            for site in (QUAY, PIER)
        }

    state = PurseState(
        number=number(card),
        expires=bytes.fromhex("20241231"),  # day 20,088
        purchase_keys=keys(PURCHASE_KEYS),
        presence_keys=keys(PRESENCE_KEYS),
        load_keys={FIRST_INDEX: credit_key(card).secret},
        transaction_key=transaction_key(card).secret,
    )
    state.purse.balance = balance
    return PbocPurseCard(state, draw=draw)


def opened(reader: DirectReader) -> OpenPurse:
    """The purse of the card that was presented anew."""
    reader.card.reset()
    return do(open_purse(PURSE_TRUST, NONCE), reader)


def claim(terminal_seq: int = 1, amount: int = AMOUNT, terminal: bytes = TERMINAL) -> PurchaseClaim:
    """The n-th purchase of a terminal."""
    moment = bytes.fromhex(f"20241003{terminal_seq:06d}")
    return PurchaseClaim(Purse.PURSE, amount, terminal, terminal_seq, moment)


def begun(reader: DirectReader, asked: PurchaseClaim | None = None) -> tuple[OpenPurse, Purchase]:
    """A purchase that is on the disk of the terminal, and not more."""
    purse = opened(reader)
    return purse, do(begin(purse, asked or claim()), reader)


def pay(reader: DirectReader, asked: PurchaseClaim) -> None:
    """A whole purchase."""
    do(debit(*begun(reader, asked)), reader)


def host(request: LoadRequest, moment: bytes = GRANTED_AT) -> LoadGrant:
    """The cloud, which grants every load that the card offers."""
    card = int(request.number.hex())
    return grant(credit_key(card), request, moment)


def fill(reader: DirectReader, amount: int) -> None:
    """A whole load, granted later than GRANTED_AT."""
    later = bytes.fromhex("20241003130000")
    ask = partial(host, moment=later)
    do(load(opened(reader), amount, TERMINAL, ask), reader)


@dataclass
class Cloud:
    """A host that keeps what it was asked."""

    requests: list[LoadRequest] = field(default_factory=list)

    def __call__(self, request: LoadRequest) -> LoadGrant:
        """Grant the load."""
        self.requests.append(request)
        return host(request)


def ask(reader: DirectReader, trust: CardTrust = PURSE_TRUST) -> CardIdentity:
    """Identify a card that was presented anew."""
    reader.card.reset()
    return do(identify(trust, PRESENTED, NONCE), reader)


def state(reader: DirectReader) -> PurseState:
    """What the card on the reader keeps."""
    assert isinstance(reader.card, PbocPurseCard)
    return reader.card.state
