"""What the issuer's host says to the loads and purchases of a PBOC purse; it holds the keys.

A terminal carries requests and grants and can make neither: both take a key that it never has.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import NamedTuple

from drivers.errors import CardForged
from drivers.secure_channel import pboc
from drivers.secure_channel.pboc import LoadOffer
from protocol import pboc_purse
from protocol.card_keys import CreditKey, TransactionKey
from protocol.pboc_purse import Purse


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


def grant(key: CreditKey, request: LoadRequest, moment: bytes) -> LoadGrant:
    """Allow a load once its offer is known to be the card's; CardForged when MAC1 is not."""
    offer, kind = request.offer, request.purse.load_type
    session = pboc_purse.session_key(key.secret, pboc.load_input(offer))
    asked = pboc.load_mac1_input(offer.balance, request.amount, kind, request.terminal)
    if not compare_digest(pboc_purse.mac(session, asked), offer.mac1):
        raise CardForged("the offer of a load: wrong MAC1")
    details = pboc_purse.transaction(request.amount, kind, request.terminal, moment)
    return LoadGrant(moment, pboc_purse.mac(session, details))


def proves_load(key: TransactionKey, request: LoadRequest, moment: bytes, tac: bytes) -> bool:
    """Whether ``tac`` is the card's for this load, granted at ``moment``."""
    offer, kind = request.offer, request.purse.load_type
    details = pboc_purse.transaction(request.amount, kind, request.terminal, moment)
    after = offer.balance + request.amount
    text = pboc.load_tac_input(after, offer.online_seq, details)
    return compare_digest(pboc_purse.mac(pboc_purse.tac_key(key.secret), text), tac)
