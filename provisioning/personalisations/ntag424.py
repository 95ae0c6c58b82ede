"""NTAG 424 DNA: its five keys, and the link that it writes its own message into."""

from __future__ import annotations

from drivers.card import NONCE_BYTES
from drivers.cards.ntag424 import (
    CHANGE_SLOT,
    FAMILY,
    SPARE_SLOT,
    TagKeys,
    find_uid,
    personalise,
)
from protocol.card_keys import card_input
from protocol.sun import SunMode
from protocol.sun_link import APPLICATION, LABEL_BYTES, SunTemplate, template
from provisioning.errors import LinkTooLong
from provisioning.personalisation import Bench, Order, Personalisation


def write(bench: Bench, order: Order) -> None:
    """See Personalisation."""
    uid = bench.hold(find_uid())
    [site] = order.sites
    change, spare = (
        order.keys.estate.change_key(card_input(uid, APPLICATION, slot))
        for slot in (CHANGE_SLOT, SPARE_SLOT)
    )

    def layout(mode: SunMode) -> SunTemplate:
        try:
            return template(order.page, site.site, order.tenant[:LABEL_BYTES], mode)
        except ValueError as error:
            raise LinkTooLong(f"{order.page} in {mode.name} mode: {error}") from error

    keys = TagKeys(change, spare, site)
    bench.hold(personalise(keys, layout, lambda: order.draw(NONCE_BYTES), lrp=order.lrp))


def number(bench: Bench, _order: Order) -> bytes:
    """See Personalisation."""
    return bench.hold(find_uid())


PERSONALISATION = Personalisation(FAMILY, write, sites=1, number=number, lrp=True)
