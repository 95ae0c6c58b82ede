"""What the issuer's host says to the loads and purchases of a PBOC purse; it holds the keys.

A terminal carries requests and grants and can make neither: both take a key that it never has.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import NamedTuple

from drivers.errors import CardForged
from drivers.secure_channel import pboc
from drivers.secure_channel.pboc import LoadOffer, Purse
from protocol.card_keys import CreditKey, TransactionKey


class LoadRequest(NamedTuple):
    """A load of ``amount`` (minor units) that the card offers at ``terminal`` (6 bytes)."""

    number: bytes  # the card's, 10 bytes
    purse: Purse
    amount: int
    terminal: bytes
    offer: LoadOffer


class LoadGrant(NamedTuple):
    """The host's word for one load: its own moment (7 bytes, packed digits) and MAC2."""

    moment: bytes
    mac2: bytes


class PurchaseClaim(NamedTuple):
    """What a terminal says that a card paid; the TAC is over all of it."""

    purse: Purse
    amount: int
    terminal: bytes
    terminal_seq: int
    moment: bytes


def grant(key: CreditKey, request: LoadRequest, moment: bytes) -> LoadGrant:
    """Allow a load once its offer is known to be the card's; CardForged when MAC1 is not."""
    offer, kind = request.offer, request.purse.load_type
    session = pboc.session_key(key.secret, pboc.load_input(offer))
    asked = pboc.load_mac1_input(offer.balance, request.amount, kind, request.terminal)
    if not compare_digest(pboc.mac(session, asked), offer.mac1):
        raise CardForged("the offer of a load: wrong MAC1")
    details = pboc.transaction(request.amount, kind, request.terminal, moment)
    return LoadGrant(moment, pboc.mac(session, details))


def proves_load(key: TransactionKey, request: LoadRequest, moment: bytes, tac: bytes) -> bool:
    """Whether ``tac`` is the card's for this load, granted at ``moment``."""
    offer, kind = request.offer, request.purse.load_type
    details = pboc.transaction(request.amount, kind, request.terminal, moment)
    after = offer.balance + request.amount
    text = pboc.load_tac_input(after, offer.online_seq, details)
    return compare_digest(pboc.mac(pboc.tac_key(key.secret), text), tac)


def proves_purchase(key: TransactionKey, claim: PurchaseClaim, tac: bytes) -> bool:
    """Whether ``tac`` is the card's for this purchase."""
    tail = claim.terminal_seq.to_bytes(4, "big") + claim.moment
    kind = claim.purse.purchase_type
    text = pboc.transaction(claim.amount, kind, claim.terminal, tail)
    return compare_digest(pboc.mac(pboc.tac_key(key.secret), text), tac)
