"""The PBOC purse: keys of all sites; the desk is the host that grants its loads."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from drivers.card import NONCE_BYTES, CardTrust
from drivers.cards.pboc_purse import (
    CREDIT_KEY,
    FAMILY,
    OpenPurse,
    load_proof,
    offer_load,
    open_purse,
)
from drivers.cards.pboc_purse import load as load_purse
from drivers.personalise_pboc import PurseKeys, personalise
from drivers.purse import Fate
from drivers.secure_channel.pboc_host import LoadGrant, LoadRequest, grant, proves_load
from protocol.pboc_purse import TERMINAL_BYTES, TRANSACTION_KEY, key_input
from protocol.transaction_mac import reader_id
from provisioning.personalisation import Bench, Note, Order, Personalisation, Purse

_DESK = reader_id("desk")[:TERMINAL_BYTES]


class _Granted(Struct, frozen=True):
    """A load as it is written down: what the card offered, and at which moment it was granted."""

    request: LoadRequest
    moment: bytes


def write(bench: Bench, order: Order) -> None:
    """See Personalisation; a card that is issued already keeps its money."""
    estate = order.keys.estate
    keys = PurseKeys(estate.change_key, estate.credit_key, estate.transaction_key, order.sites)
    bench.hold(personalise(order.transport, keys, order.expires_day))


def _opened(bench: Bench, order: Order) -> OpenPurse:
    trust = CardTrust(
        reference_key=order.keys.reference,
        issuers={},
        tenant=order.tenant,
        day=order.day,
        site=order.sites[0],
    )
    return bench.hold(open_purse(trust, order.draw(NONCE_BYTES)))


def load(bench: Bench, order: Order, amount: int, note: Note) -> None:
    """See Purse."""

    def granted(request: LoadRequest) -> LoadGrant:
        note(msgspec.json.encode(_Granted(request, moment)))
        key = order.keys.estate.credit_key(key_input(request.number, CREDIT_KEY))
        return grant(key, request, moment)

    now = datetime.fromtimestamp(order.wall_s, UTC)
    moment = bytes.fromhex(now.strftime("%Y%m%d%H%M%S"))
    bench.hold(load_purse(_opened(bench, order), amount, _DESK, granted))


def settle(bench: Bench, order: Order, intent: bytes) -> Fate:
    """See Purse: by the number of the next load, and by what the card kept of the last one."""
    meant = msgspec.json.decode(intent, type=_Granted)
    request, purse = meant.request, _opened(bench, order)
    key = order.keys.estate.transaction_key(key_input(purse.number, TRANSACTION_KEY))
    offered = bench.hold(offer_load(purse, request.amount, _DESK)).offer
    if offered.online_seq == request.offer.online_seq:
        return Fate.NOT_MOVED
    tac = bench.hold(load_proof(request))
    return Fate.MOVED if proves_load(key, request, meant.moment, tac) else Fate.UNKNOWN


def number(bench: Bench, order: Order) -> bytes:
    """See Personalisation."""
    return _opened(bench, order).number


PERSONALISATION = Personalisation(
    FAMILY, write, transport=True, purse=Purse(load, settle), number=number
)
