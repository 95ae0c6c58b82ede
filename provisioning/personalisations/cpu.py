"""CPU cards that sign: a key pair of their own, a credential by the issuer, an admin key."""

from __future__ import annotations

from drivers.card import NONCE_BYTES
from drivers.cards.cpu import FAMILY
from drivers.personalise import admin_key, personalise
from protocol.credential import Credential, issue
from provisioning.personalisation import Bench, Order, Personalisation


def write(bench: Bench, order: Order) -> None:
    """See Personalisation."""

    def credential(serial: bytes, public_key: bytes) -> bytes:
        signed = Credential(
            card_id=serial,
            public_key=public_key,
            tenant=order.tenant,
            issued_day=order.day,
            expires_day=order.expires_day,
            card_type=order.card_type,
        )
        return issue(signed, order.keys.issuer)

    bench.hold(
        personalise(
            lambda _: order.transport.secret,
            lambda serial: admin_key(order.keys.admin_master, serial, b""),
            credential,
            order.draw(NONCE_BYTES),
        )
    )


PERSONALISATION = Personalisation(FAMILY, write, sites=0, transport=True)
