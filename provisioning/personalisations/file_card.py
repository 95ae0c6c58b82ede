"""CPU cards with files: keys of all sites and the member file."""

from __future__ import annotations

from drivers.cards.file_card import FAMILY, Member, MemberKeys, personalise
from provisioning.personalisation import Bench, Order, Personalisation


def write(bench: Bench, order: Order) -> None:
    """See Personalisation; a card that is issued already gets a later last day."""

    def member(serial: bytes) -> Member:
        return Member(serial, order.tenant, order.expires_day)

    keys = MemberKeys(order.keys.estate.change_key, order.sites)
    bench.hold(personalise(order.transport, keys, member, order.draw))


PERSONALISATION = Personalisation(FAMILY, write, transport=True)
