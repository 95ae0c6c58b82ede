"""MIFARE DESFire EV2 and EV3: application, keys of all sites, and the purse that the desk loads."""

from __future__ import annotations

import msgspec

from drivers.card import NONCE_BYTES
from drivers.cards.desfire import FAMILY
from drivers.desfire import purse as dialogues
from drivers.desfire.layout import CREDIT_KEY
from drivers.desfire.purse import Intent, open_purse
from drivers.errors import CardRefused
from drivers.personalise_desfire import CardKeys, personalise
from drivers.purse import Fate
from protocol.desfire_purse import TID_BYTES, key_input
from protocol.transaction_mac import reader_id
from provisioning.personalisation import Bench, Note, Order, Personalisation, Purse

# Who is named in what a card writes down of a load.
_DESK = reader_id("desk")


def write(bench: Bench, order: Order) -> None:
    """See Personalisation."""
    estate = order.keys.estate
    keys = CardKeys(estate.change_key, estate.credit_key, estate.transaction_key, order.sites)
    bench.hold(personalise(order.transport.secret, keys, order.draw))


def _opened(bench: Bench, order: Order) -> dialogues.Purse:
    nonce = order.draw(NONCE_BYTES)
    return bench.hold(open_purse(order.sites[0], bench.presented, nonce))


def load(bench: Bench, order: Order, amount: int, note: Note) -> None:
    """See Purse."""
    purse = _opened(bench, order)
    if purse.last is None:
        raise CardRefused(0x9100, "an EV1 card proves no transaction")
    intent = Intent(
        tid=order.draw(TID_BYTES),
        reader_id=_DESK,
        amount=amount,
        counter=purse.last.counter,
        balance=purse.balance,
    )
    note(msgspec.json.encode(intent))
    key = order.keys.estate.credit_key(key_input(purse.uid, CREDIT_KEY))
    bench.hold(dialogues.credit(purse, key, intent, order.draw(NONCE_BYTES)))


def settle(bench: Bench, order: Order, intent: bytes) -> Fate:
    """See Purse."""
    meant = msgspec.json.decode(intent, type=Intent)
    return bench.hold(dialogues.fate(_opened(bench, order), meant))


def number(bench: Bench, order: Order) -> bytes:
    """See Personalisation."""
    return _opened(bench, order).uid


PERSONALISATION = Personalisation(FAMILY, write, purse=Purse(load, settle), number=number)
