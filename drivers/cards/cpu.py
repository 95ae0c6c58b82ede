"""Card family: a CPU card that carries a signed credential and signs the terminal's nonce.

The credential proves issue, the signature proves presence; the terminal needs public keys only.
Writing such a card is left to drivers.personalise.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from drivers.apdu import CommandApdu, ResponseApdu, refused
from drivers.card import CardIdentity, CardKind, CardTrust, Dialogue
from drivers.errors import (
    CardBlank,
    CardExpired,
    CardForeign,
    CardForged,
    CardRefused,
    CardUnknown,
)
from drivers.reader import Presented
from drivers.tlv import TlvError, parse
from protocol.credential import Credential, accept, card_reference
from protocol.errors import ProtocolError
from protocol.record import CardClass
from protocol.signing import SIGNATURE_BYTES, P256Verifier

FAMILY = "cpu"
APPLICATION = b"\xf0TAPLEDGER\x01"  # proprietary identifier (ISO/IEC 7816-4, 8.2.1.2: F0 to FF)
APPLICATION_VERSION = 1
SERIAL_BYTES = 16
COUNTER_BYTES = 4
CREDENTIAL_FILE = 1  # short file identifier
LENGTH_BYTES = 2  # the file is a length and then the credential
# A credential has about 190 bytes; five times that bounds what a card can make a terminal read.
CREDENTIAL_BYTES_MAX = 1024

_SIGNED_HEAD = b"tapledger/card/1"
_END_OF_FILE = 0x6282

Steps = Generator[CommandApdu, ResponseApdu, bytes]


@dataclass(frozen=True, slots=True)
class Selected:
    """What the application says of itself before anything is proved."""

    serial: bytes
    personalised: bool


def select() -> Generator[CommandApdu, ResponseApdu, Selected]:
    """Select the application; CardUnknown when the card has none, or none of this version."""
    response = yield CommandApdu(0x00, 0xA4, 0x04, 0x00, APPLICATION, ne=256)
    if not response.ok:
        raise CardUnknown
    try:
        control = parse(response.data)[0x6F]  # file control information (7816-4, 7.4.3)
        own = parse(parse(control)[0xA5])
        version, lifecycle, serial = own[0x80], own[0x81], own[0x82]
    except (TlvError, KeyError) as error:
        raise CardUnknown("the application does not describe itself as ours does") from error
    if version != bytes((APPLICATION_VERSION,)) or len(serial) != SERIAL_BYTES:
        raise CardUnknown("another version of the application")
    return Selected(serial, personalised=lifecycle == b"\x01")


def read_credential() -> Steps:
    """Return the credential file's content; one command when the card gives it in one answer."""
    wanted = LENGTH_BYTES + CREDENTIAL_BYTES_MAX
    response = yield CommandApdu(0x00, 0xB0, 0x80 | CREDENTIAL_FILE, 0x00, ne=wanted)
    data = _readable(response, LENGTH_BYTES)
    wanted = LENGTH_BYTES + int.from_bytes(data[:LENGTH_BYTES], "big")
    if wanted > LENGTH_BYTES + CREDENTIAL_BYTES_MAX:
        raise CardRefused(response.sw, f"the credential file claims {wanted} bytes")
    while len(data) < wanted:
        high, low = divmod(len(data), 256)
        response = yield CommandApdu(0x00, 0xB0, high, low, ne=wanted - len(data))
        data += _readable(response, 1)
    return data[LENGTH_BYTES:wanted]


def _readable(response: ResponseApdu, least: int) -> bytes:
    """Return the data of one READ BINARY, which must have brought at least so many bytes."""
    if not (response.ok or response.sw == _END_OF_FILE) or len(response.data) < least:
        raise refused(response, "read the credential")
    return response.data


def authenticate(nonce: bytes) -> Steps:
    """Return the card's answer to ``nonce``: counter (4 bytes, big-endian), signature (64)."""
    response = yield CommandApdu(0x00, 0x88, 0x00, 0x00, nonce, ne=256)
    if not response.ok:
        raise refused(response, "sign the challenge")
    if len(response.data) != COUNTER_BYTES + SIGNATURE_BYTES:
        raise CardForged(f"an answer of {len(response.data)} bytes to the challenge")
    return response.data


def check_answer(public_key: bytes, nonce: bytes, answer: bytes) -> None:
    """CardForged unless the key (SEC 1 point) signed head, counter and this nonce (ES256)."""
    counter, signature = answer[:COUNTER_BYTES], answer[COUNTER_BYTES:]
    try:
        P256Verifier(public_key).verify(signature, _SIGNED_HEAD + counter + nonce)
    except ProtocolError as error:
        raise CardForged("the signature of the challenge") from error


def _check_credential(data: bytes, serial: bytes, trust: CardTrust) -> Credential:
    """Return the credential when it is ours, of this card and of today."""
    try:
        credential = accept(data, trust.issuers)
    except ProtocolError as error:
        raise CardForged(f"the credential: {error.code}") from error
    if credential.card_id != serial:
        raise CardForged("the credential of another card")
    if credential.tenant != trust.tenant:
        raise CardForeign
    if trust.day > credential.expires_day:
        raise CardExpired
    return credential


def identify(trust: CardTrust, _presented: Presented, nonce: bytes) -> Dialogue:
    """SELECT, READ BINARY, INTERNAL AUTHENTICATE.

    ``proof`` of the identity is nonce (16), counter (4, big-endian) and signature (64): ES256 as
    raw r and s over "tapledger/card/1", counter and nonce, by the key that the credential names.
    """
    selected = yield from select()
    if not selected.personalised:
        raise CardBlank
    data = yield from read_credential()
    credential = _check_credential(data, selected.serial, trust)
    answer = yield from authenticate(nonce)
    check_answer(credential.public_key, nonce, answer)
    return CardIdentity(
        family=FAMILY,
        assurance=CardClass.SECURE,
        reference=card_reference(trust.reference_key, FAMILY, credential.card_id),
        counter=int.from_bytes(answer[:COUNTER_BYTES], "big"),
        proof=nonce + answer,
    )


CARD = CardKind(name=FAMILY, assurance=CardClass.SECURE, identify=identify)
