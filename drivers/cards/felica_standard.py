"""Card family: FeliCa Standard, known by one polling; its services need keys of their issuer.

Those keys (DES or AES behind a secure access module) are never ours, so the card stays its number:
it earns and never pays.
"""

from __future__ import annotations

from drivers.card import CardKind, CardTrust, FrameDialogue
from drivers.errors import CardUnknown
from drivers.number import by_number
from drivers.reader import Presented, Technology
from protocol.record import CardClass

FAMILY = "felica_standard"

# Polling of any system, with its code in the answer, one time slot (JIS X 6319-4; FeliCa Card
# User's Manual, 4.4.2), length byte first.
POLLING = bytes.fromhex("0600FFFF0100")
_HEAD = bytes.fromhex("1401")  # 20 bytes, response code; then IDm, PMm, system code
_IDM, _SYSTEM = slice(2, 10), slice(18, 20)
# FeliCa Lite and Lite-S, and an NFC Forum Type 3 tag, which any FeliCa chip may be.
_OTHER_SYSTEMS = frozenset({b"\x88\xb4", b"\x12\xfc"})
_CARD_NAME = 0x003B  # FeliCa (PC/SC part 3, supplement on storage cards)


def identify(trust: CardTrust, presented: Presented, _nonce: bytes) -> FrameDialogue:
    """Ask for the card's first system; a reader without frames that names a FeliCa is believed.

    CardUnknown for other cards, Lite and Lite-S among them.
    """
    if presented.technology is Technology.FELICA:
        answer = yield POLLING
        is_whole = answer.startswith(_HEAD) and len(answer) == _HEAD[0]
        if not is_whole or answer[_IDM] != presented.uid or answer[_SYSTEM] in _OTHER_SYSTEMS:
            raise CardUnknown("no FeliCa Standard")
    elif presented.card_name != _CARD_NAME:
        raise CardUnknown("no FeliCa")
    return by_number(FAMILY, trust, presented)


CARD = CardKind(
    name=FAMILY, assurance=CardClass.UID, identify=identify, technology=Technology.NUMBER
)
