"""Block-cipher pieces that card protocols are made of: triple DES, CBC, CMAC, padding.

Keys come in as algorithm objects; which key does what is left to the callers.
"""

from __future__ import annotations

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, Cipher, modes
from cryptography.hazmat.primitives.cmac import CMAC

# Added when a doubled block overflows (NIST SP 800-38B, section 5.3); by block size in bits.
_REDUCTION = {64: 0x1B, 128: 0x87}


def triple_des(key: bytes) -> TripleDES:
    """Triple DES from 8, 16 or 24 bytes: with 8 it is single DES, with 16 the first key returns.

    Old cards need it; nothing new may be built on it.
    """
    return TripleDES({8: key * 3, 16: key + key[:8]}.get(len(key), key))


def cbc_encrypt(algorithm: BlockCipherAlgorithm, iv: bytes, data: bytes) -> bytes:
    """CBC over whole blocks; ValueError for a broken one."""
    encryptor = Cipher(algorithm, modes.CBC(iv)).encryptor()
    return encryptor.update(data) + encryptor.finalize()


def cbc_decrypt(algorithm: BlockCipherAlgorithm, iv: bytes, data: bytes) -> bytes:
    """Inverse of ``cbc_encrypt``."""
    decryptor = Cipher(algorithm, modes.CBC(iv)).decryptor()
    return decryptor.update(data) + decryptor.finalize()


def one_block(algorithm: BlockCipherAlgorithm, block: bytes) -> bytes:
    """Encrypt one block."""
    return Cipher(algorithm, modes.ECB()).encryptor().update(block)  # noqa: S305 - one block


def cmac(algorithm: BlockCipherAlgorithm, message: bytes) -> bytes:
    """CMAC (NIST SP 800-38B, RFC 4493): one block."""
    mac = CMAC(algorithm)
    mac.update(message)
    return mac.finalize()


def doubled(block: bytes) -> bytes:
    """Multiply by x in GF(2**64) or GF(2**128) (NIST SP 800-38B, section 6.1)."""
    bits = 8 * len(block)
    value = int.from_bytes(block, "big") << 1
    overflow = value >> bits
    return ((value ^ (overflow * _REDUCTION[bits])) & ((1 << bits) - 1)).to_bytes(bits // 8, "big")


def cmac_subkeys(algorithm: BlockCipherAlgorithm) -> tuple[bytes, bytes]:
    """K1 for whole last blocks and K2 for padded ones (NIST SP 800-38B, section 6.1)."""
    first = doubled(one_block(algorithm, bytes(algorithm.block_size // 8)))
    return first, doubled(first)


def odd_bytes(mac: bytes) -> bytes:
    """Bytes 1, 3, 5, … of a MAC counted from 0: how NXP shortens 16 bytes to 8 (AN12196, 4.3)."""
    return mac[1::2]


def xor(one: bytes, other: bytes) -> bytes:
    """Bitwise exclusive or of equally long strings; ValueError for others."""
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def pad(data: bytes, size: int = 16) -> bytes:
    """ISO/IEC 9797-1 padding method 2: 80, then zeros up to a multiple of ``size``."""
    marked = data + b"\x80"
    return marked + bytes(-len(marked) % size)


def unpad(data: bytes) -> bytes:
    """Inverse of ``pad``; ValueError when the mark is missing."""
    stripped = data.rstrip(b"\x00")
    if not stripped.endswith(b"\x80"):
        raise ValueError("no padding at the end of the data")
    return stripped[:-1]
