"""Keys of one card from a master key, and the MACs and wraps that cards ask for.

Keys come in and go out as bytes and are kept nowhere. Terminals never call ``diversify``: a master
key lives with the cloud's key store and the provisioning station.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

AES_128_BYTES = 16
BLOCK_BYTES = 16
# AN10922 fills two blocks: one byte of constant and at most 31 of diversification input.
DIVERSIFICATION_INPUT_MAX = 2 * BLOCK_BYTES - 1

_AES_128_CONSTANT = b"\x01"  # AN10922, section 2.2: AES-128


def aes_cmac(key: bytes, message: bytes) -> bytes:
    """AES-CMAC (RFC 4493, NIST SP 800-38B): 16 bytes, for keys of 16, 24 or 32 bytes."""
    mac = CMAC(algorithms.AES(key))
    mac.update(message)
    return mac.finalize()


def _double(block: bytes) -> bytes:
    """Multiply by x in GF(2**128) as the CMAC subkeys are made (RFC 4493, section 2.3)."""
    value = int.from_bytes(block, "big") << 1
    return (value ^ (0x87 if value >> 128 else 0)).to_bytes(BLOCK_BYTES + 1, "big")[1:]


def diversify(master: bytes, card_input: bytes) -> bytes:
    """AES-128 key of one card (NXP AN10922, section 2.2) from 1 to 31 bytes that name it.

    Unlike a plain CMAC, a short input is padded to two whole blocks, so that every key costs and
    mixes the same.
    """
    if len(master) != AES_128_BYTES or not 1 <= len(card_input) <= DIVERSIFICATION_INPUT_MAX:
        raise ValueError("AN10922 takes a 16-byte key and 1 to 31 bytes of input")
    encryptor = Cipher(algorithms.AES(master), modes.ECB()).encryptor()  # noqa: S305 - one block
    first_subkey = _double(encryptor.update(bytes(BLOCK_BYTES)))
    message = _AES_128_CONSTANT + card_input
    subkey = first_subkey
    if len(message) < 2 * BLOCK_BYTES:
        message = (message + b"\x80").ljust(2 * BLOCK_BYTES, b"\x00")
        subkey = _double(first_subkey)
    last = bytes(a ^ b for a, b in zip(message[BLOCK_BYTES:], subkey, strict=True))
    chain = Cipher(algorithms.AES(master), modes.CBC(bytes(BLOCK_BYTES))).encryptor()
    return chain.update(message[:BLOCK_BYTES] + last)[BLOCK_BYTES:]


def wrap_key(wrapping: bytes, key: bytes) -> bytes:
    """AES key wrap (RFC 3394): ``key`` under ``wrapping``, 8 bytes longer than ``key``."""
    return aes_key_wrap(wrapping, key)
