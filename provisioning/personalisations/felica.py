"""FeliCa Lite-S: the site's key, and closed system blocks."""

from __future__ import annotations

from drivers.card import NONCE_BYTES
from drivers.cards.felica import FAMILY, card_key, personalise
from drivers.reader import Technology
from provisioning.personalisation import Bench, Order, Personalisation


def write(bench: Bench, order: Order) -> None:
    """See Personalisation."""
    [site] = order.sites
    idm = bench.presented.uid or b""
    bench.hold_frames(personalise(idm, card_key(site, idm), order.draw(NONCE_BYTES)))


PERSONALISATION = Personalisation(FAMILY, write, Technology.FELICA, sites=1)
