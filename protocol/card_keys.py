"""Card keys: how one card's comes from a master (AN10922), and as types what may make which.

A ``SiteKey``, all that a terminal is given, derives the read keys of its own site and nothing else.
CreditKey, ChangeKey and TransactionKey have no way from it: protocol.estate alone makes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from protocol.block_cipher import cbc_encrypt, cmac, cmac_subkeys, pad, triple_des, xor

AES_128_BYTES = 16
# AN10922 fills two blocks: one byte of constant and at most 31 of diversification input.
DIVERSIFICATION_INPUT_MAX = 31
# Cards hold keys of so many sites (or groups of sites that share one) side by side: DESFire EV2
# gives a file eight sets of access rights, and the credit key needs one of them.
SITE_SLOTS = 7
SYSTEM_ID = b"tapledger"

# Constants by key size in bytes: AN10922, sections 2.2 to 2.4, and 2.5 and 2.6.
_AES_CONSTANTS = {16: b"\x01", 24: b"\x11\x12", 32: b"\x41\x42"}
_TRIPLE_DES_CONSTANTS = {16: b"\x21\x22", 24: b"\x31\x32\x33"}


@dataclass(frozen=True, slots=True)
class _Key:
    """16 secret bytes that never show in a log."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != AES_128_BYTES:
            raise ValueError(f"a card key has {AES_128_BYTES} bytes")


class ReadKey(_Key):
    """One card's key of one site: proves that the card is here, reads it and debits it."""

    __slots__ = ()


class CreditKey(_Key):
    """One card's key that puts value on it."""

    __slots__ = ()


class ChangeKey(_Key):
    """One card's key that changes its keys and files."""

    __slots__ = ()


class TransportKey(_Key):
    """A key with which cards of one delivery come; it opens none that is in use."""

    __slots__ = ()


class TransactionKey(_Key):
    """One card's key under which it proves its transactions to the cloud."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class SiteKey:
    """All that a terminal is ever given. ``slot``: which of SITE_SLOTS places on a card it has."""

    site: str
    secret: bytes = field(repr=False)
    slot: int = 0

    def __post_init__(self) -> None:
        if len(self.secret) != AES_128_BYTES or not 0 <= self.slot < SITE_SLOTS:
            raise ValueError(f"a site key has {AES_128_BYTES} bytes and one of {SITE_SLOTS} slots")

    def read_key(self, card_input: bytes) -> ReadKey:
        """Return this site's key of the card that ``card_input`` names (see there)."""
        return ReadKey(diversify(self.secret, card_input))


def card_input(uid: bytes, application: bytes, slot: int) -> bytes:
    """AN10922 input: UID (7 bytes), application (3), key slot (1) and system id."""
    return uid + application + bytes((slot,)) + SYSTEM_ID


def diversify(master: bytes, card_input: bytes) -> bytes:
    """AES key of one card (NXP AN10922, sections 2.2 to 2.4) from 1 to 31 bytes that name it.

    Unlike a plain CMAC, a short input is padded to two whole blocks, so that every key costs and
    mixes the same. The key is as long as the master's: 16, 24 or 32 bytes.
    """
    constants = _AES_CONSTANTS.get(len(master))
    if constants is None or not 1 <= len(card_input) <= DIVERSIFICATION_INPUT_MAX:
        raise ValueError("AN10922 takes a 16-, 24- or 32-byte key and 1 to 31 bytes of input")
    first, *rest = _two_block_macs(AES(master), constants, card_input)
    if not rest:
        return first
    if len(master) == 32:
        return first + rest[0]
    return first[:8] + xor(first[8:], rest[0][:8]) + rest[0][8:]


def diversify_triple_des(master: bytes, card_input: bytes) -> bytes:
    """Triple DES key of one card (AN10922, sections 2.5 and 2.6) from 1 to 15 bytes that name it.

    16 or 24 bytes like the master; parity bits stay as they fall. For cards of old stock only.
    """
    constants = _TRIPLE_DES_CONSTANTS.get(len(master))
    if constants is None or not 1 <= len(card_input) <= 15:
        raise ValueError("AN10922 takes a 16- or 24-byte key and 1 to 15 bytes of input")
    return b"".join(_two_block_macs(triple_des(master), constants, card_input))


def diversify_unpadded(master: bytes, card_input: bytes) -> bytes:
    """AES-128 key by a plain CMAC over the constant and the input, as some systems in use do.

    Only above 15 bytes of input is it AN10922; it is here to read the cards of such a system.
    """
    return cmac(AES(master), _AES_CONSTANTS[AES_128_BYTES] + card_input)


def _two_block_macs(
    algorithm: BlockCipherAlgorithm, constants: bytes, card_input: bytes
) -> list[bytes]:
    """One MAC for each constant over exactly two blocks, padded or not (AN10922, section 2.1)."""
    size = algorithm.block_size // 8
    whole, padded = cmac_subkeys(algorithm)
    macs = []
    for constant in constants:
        message, subkey = bytes((constant,)) + card_input, whole
        if len(message) < 2 * size:
            message, subkey = pad(message, 2 * size), padded
        last = xor(message[size:], subkey)
        macs.append(cbc_encrypt(algorithm, bytes(size), message[:size] + last)[size:])
    return macs
