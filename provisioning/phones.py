"""Issues a member's card to a phone, which made its own key and draws a new code every 30 s."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import segno
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey

from drivers.cards.qr_credential import FAMILY
from protocol import base45
from protocol.credential import card_reference
from protocol.qr_credential import PhoneCredential, issue
from provisioning.authority import CardKeys
from provisioning.cloud_api import CloudApi
from provisioning.errors import BadPhoneKey
from provisioning.personalisation import VALID_DAYS
from provisioning.vault import write_private

_ID_BYTES = 16
# Dots a module of the picture that a phone reads once.
_SCALE = 6


@dataclass(frozen=True, slots=True)
class IssuedPhone:
    """``issued`` is what the phone keeps and shows with every code."""

    reference: bytes
    issued: bytes

    def write(self, file: Path) -> None:
        """Write it for the phone to read: a picture for a name with .png, else text (base45)."""
        text = base45.encode(self.issued)
        if file.suffix == ".png":
            symbol = segno.make_qr(text, error="m")
            symbol.save(str(file), scale=_SCALE)
        else:
            write_private(file, text)


def issue_phone(
    keys: CardKeys, tenant: str, public_key: bytes, day: int, draw: Callable[[int], bytes]
) -> IssuedPhone:
    """Return what the phone with ``public_key`` (SEC 1 compressed, P-256) is given; BadPhoneKey.

    ``day`` is today since 1970-01-01 UTC.
    """
    try:
        EllipticCurvePublicKey.from_encoded_point(SECP256R1(), public_key)
    except ValueError as error:
        raise BadPhoneKey(f"{len(public_key)} bytes") from error
    card_id = draw(_ID_BYTES)
    credential = PhoneCredential(
        credential_id=draw(_ID_BYTES),
        card_id=card_id,
        public_key=public_key,
        tenant=tenant,
        issued_day=day,
        expires_day=day + VALID_DAYS,
    )
    return IssuedPhone(
        card_reference(keys.reference, FAMILY, card_id), issue(credential, keys.issuer)
    )


def register_phone(phone: IssuedPhone, member: str, card_type: str, cloud: CloudApi) -> None:
    """Tell the cloud whose card it is."""
    cloud.register_card(phone.reference, member, FAMILY, card_type)
