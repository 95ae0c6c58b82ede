"""Keys of one card from a master key, and the MACs and wraps that cards ask for.

Keys come in and go out as bytes and are kept nowhere. Terminals never call ``diversify``: a master
key lives with the cloud's key store and the provisioning station.
"""

from __future__ import annotations

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from protocol.block_cipher import cbc_encrypt, cmac, cmac_subkeys, pad, xor

AES_128_BYTES = 16
# AN10922 fills two blocks: one byte of constant and at most 31 of diversification input.
DIVERSIFICATION_INPUT_MAX = 31

# Constants by key size in bytes: AN10922, sections 2.2 to 2.4, and 2.5 and 2.6.
_AES_CONSTANTS = {16: b"\x01", 24: b"\x11\x12", 32: b"\x41\x42"}
_TRIPLE_DES_CONSTANTS = {16: b"\x21\x22", 24: b"\x31\x32\x33"}


def aes_cmac(key: bytes, message: bytes) -> bytes:
    """AES-CMAC (RFC 4493, NIST SP 800-38B): 16 bytes, for keys of 16, 24 or 32 bytes."""
    return cmac(AES(key), message)


def triple_des(key: bytes) -> TripleDES:
    """Triple DES from 8, 16 or 24 bytes: with 8 it is single DES, with 16 the first key returns.

    Old cards need it; nothing new may be built on it.
    """
    return TripleDES({8: key * 3, 16: key + key[:8]}.get(len(key), key))


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
    return aes_cmac(master, _AES_CONSTANTS[AES_128_BYTES] + card_input)


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


def wrap_key(wrapping: bytes, key: bytes) -> bytes:
    """AES key wrap (RFC 3394): ``key`` under ``wrapping``, 8 bytes longer than ``key``."""
    return aes_key_wrap(wrapping, key)
