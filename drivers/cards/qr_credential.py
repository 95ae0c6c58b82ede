"""Card family: the card on a phone's screen, a code that the phone signs anew every 30 s.

There is nothing to say to it: the scanner has read all of it. What it proves is decided in
protocol.qr_credential; here it becomes an identity, and a code that was shown before is refused.
"""

from __future__ import annotations

from drivers.card import CardIdentity, CardKind, CardTrust, FrameDialogue
from drivers.errors import CardExpired, CardForeign, CardForged, CardUnknown, CodeStale, CodeUsed
from drivers.reader import Presented, Technology
from protocol import errors
from protocol.credential import card_reference
from protocol.qr_credential import is_code, verify
from protocol.record import CardClass

FAMILY = "qr_credential"


def identify(trust: CardTrust, presented: Presented, _nonce: bytes) -> FrameDialogue:
    """Say nothing; CardUnknown for another text, CardForeign on a terminal that takes no codes.

    ``proof`` is that of protocol.qr_credential, ``counter`` the slot in which the code was drawn.
    """
    yield from ()
    if not is_code(presented.text):
        raise CardUnknown("a text that is no member's code")
    if trust.codes is None:
        raise CardForeign("codes are not taken here")
    now_s = trust.codes.now_s
    try:
        verified = verify(presented.text, trust.issuers, trust.tenant, now_s)
        trust.codes.shown.admit(verified, now_s)
    except errors.CodeForeign as error:
        raise CardForeign from error
    except errors.CodeExpired as error:
        raise CardExpired from error
    except errors.CodeStale as error:
        raise CodeStale from error
    except errors.CodeUsed as error:
        raise CodeUsed(error.detail) from error
    except errors.ProtocolError as error:
        raise CardForged(f"the code: {error.code}") from error
    return CardIdentity(
        family=FAMILY,
        assurance=CardClass.SECURE,
        reference=card_reference(trust.reference_key, FAMILY, verified.credential.card_id),
        counter=verified.slot,
        proof=verified.proof,
    )


CARD = CardKind(
    name=FAMILY, assurance=CardClass.SECURE, identify=identify, technology=Technology.QR
)
