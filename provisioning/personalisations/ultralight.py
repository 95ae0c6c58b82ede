"""MIFARE Ultralight AES and Ultralight C: the site's key, and pages that ask for it."""

from __future__ import annotations

from drivers.cards.ultralight import FAMILY, Chip, card_key, is_aes, personalise
from drivers.errors import CardIssued, CardRefused, ExchangeTimeout
from drivers.reader import Technology
from provisioning.personalisation import Bench, Order, Personalisation


def write(bench: Bench, order: Order) -> None:
    """See Personalisation. A card that refuses is finished, or another's: reading it back tells."""
    [site] = order.sites
    chip = _chip(bench)
    try:
        bench.hold_frames(personalise(chip, card_key(site, bench.presented.uid or b"")))
    except CardRefused as error:
        raise CardIssued from error


def _chip(bench: Bench) -> Chip:
    """An Ultralight C does not know the question, and is selected anew behind it."""
    try:
        if bench.hold_frames(is_aes()):
            return Chip.AES
    except ExchangeTimeout:
        pass  # silence is its answer as well
    bench.again()
    return Chip.C


PERSONALISATION = Personalisation(FAMILY, write, Technology.TYPE_2, sites=1)
