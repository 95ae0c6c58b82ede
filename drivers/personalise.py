"""Makes a CPU card a member card: key pair, credential, admin key, then the end of its blank life.

The card makes its own key pair, so that no private key ever leaves a card. Where admin keys come
from and who signs the credential is left to the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from drivers.apdu import CommandApdu, ResponseApdu, refused
from drivers.cards.cpu import (
    APPLICATION,
    CREDENTIAL_BYTES_MAX,
    CREDENTIAL_FILE,
    LENGTH_BYTES,
    authenticate,
    check_answer,
    read_credential,
    select,
)
from drivers.errors import CardForged, CardIssued, CardRefused
from drivers.keys import aes_cmac, wrap_key
from drivers.tlv import TlvError, parse
from protocol.card_keys import diversify

CHALLENGE_BYTES = 16
# AN10922 takes 31 bytes of input: serial (16), application id (11), key slot (1), system id.
SYSTEM_ID_BYTES_MAX = 3

_ADMIN_KEY = 0x01  # key slot, also the key reference of EXTERNAL AUTHENTICATE

Key = Callable[[bytes], bytes]  # serial (16 bytes) -> AES-128 key of that card
Command = Generator[CommandApdu, ResponseApdu, ResponseApdu]


@dataclass(frozen=True, slots=True)
class Personalised:
    """What was written and read back. ``public_key`` is a SEC 1 compressed point (33 bytes)."""

    serial: bytes
    public_key: bytes
    credential: bytes


Personalisation = Generator[CommandApdu, ResponseApdu, Personalised]


def admin_key(master: bytes, serial: bytes, system_id: bytes) -> bytes:
    """Return a card's admin key (AN10922); ``system_id`` has at most SYSTEM_ID_BYTES_MAX bytes."""
    return diversify(master, serial + APPLICATION + bytes((_ADMIN_KEY,)) + system_id)


def personalise(
    current: Key,
    new: Key,
    make_credential: Callable[[bytes, bytes], bytes],
    nonce: bytes,
    *,
    again: bool = False,
) -> Personalisation:
    """Write a blank card, read everything back, return what is on it.

    ``make_credential`` takes serial and public key and returns the signed credential. The card
    stays blank until the last command, so a card torn away is simply presented once more; ``new``
    is tried where ``current`` does not fit, because the tear may have come after the change.
    CardIssued for a card that is in use, unless ``again``. ``nonce`` has 16 fresh random bytes.
    """
    card = yield from select()
    if card.personalised and not again:
        raise CardIssued
    old_key = yield from _authenticate_as_admin((current(card.serial), new(card.serial)))
    public_key = yield from _generate_key()
    credential = make_credential(card.serial, public_key)
    yield from _write(credential)
    if (yield from read_credential()) != credential:
        raise CardForged("the credential reads back differently from what was written")
    check_answer(public_key, nonce, (yield from authenticate(nonce)))
    wrapped = wrap_key(old_key, new(card.serial))
    yield from _do(CommandApdu(0x00, 0x24, 0x01, _ADMIN_KEY, wrapped), "change the admin key")
    yield from _do(CommandApdu(0x00, 0x44, 0x00, 0x00), "activate the card")
    if not (yield from select()).personalised:
        raise CardForged("the card says that it is still blank")
    return Personalised(card.serial, public_key, credential)


def _do(command: CommandApdu, step: str) -> Command:
    """Send one command that must succeed."""
    response = yield command
    if not response.ok:
        raise refused(response, step)
    return response


def _authenticate_as_admin(keys: tuple[bytes, ...]) -> Generator[CommandApdu, ResponseApdu, bytes]:
    """Return the first of ``keys`` that the card accepts; each wrong one costs a try."""
    response = ResponseApdu(b"", 0)
    for key in keys:
        ask = CommandApdu(0x00, 0x84, 0x00, 0x00, ne=CHALLENGE_BYTES)
        challenge = yield from _do(ask, "give a challenge")
        mac = aes_cmac(key, challenge.data)
        response = yield CommandApdu(0x00, 0x82, 0x00, _ADMIN_KEY, mac)
        if response.ok:
            return key
        if response.sw >> 8 != 0x63:
            break
    raise refused(response, "accept the admin key")


def _generate_key() -> Generator[CommandApdu, ResponseApdu, bytes]:
    """Have the card make a P-256 key pair (ISO/IEC 7816-8, 11.2); return its public point."""
    response = yield from _do(CommandApdu(0x00, 0x47, 0x80, 0x00, ne=256), "make a key pair")
    try:
        point = parse(parse(response.data)[0x7F49])[0x86]
        key = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)
    except (TlvError, KeyError, ValueError) as error:
        raise CardRefused(response.sw, "the card's public key is not a P-256 point") from error
    return key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


def _write(credential: bytes) -> Command:
    """Write the credential file."""
    if len(credential) > CREDENTIAL_BYTES_MAX:
        raise ValueError(f"a credential has at most {CREDENTIAL_BYTES_MAX} bytes")
    content = len(credential).to_bytes(LENGTH_BYTES, "big") + credential
    command = CommandApdu(0x00, 0xD6, 0x80 | CREDENTIAL_FILE, 0x00, content)
    return (yield from _do(command, "write the credential"))
