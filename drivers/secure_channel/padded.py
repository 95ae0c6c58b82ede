"""Data padded with 80 00 … and enciphered in CBC, as secure messaging of every kind carries it."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm

from drivers.errors import ChannelBroken
from protocol.block_cipher import cbc_decrypt, cbc_encrypt, pad, unpad


def encipher(algorithm: BlockCipherAlgorithm, data: bytes, iv: bytes) -> bytes:
    """Pad (ISO/IEC 9797-1 method 2) and encrypt."""
    return cbc_encrypt(algorithm, iv, pad(data, len(iv)))


def decipher(algorithm: BlockCipherAlgorithm, text: bytes, iv: bytes) -> bytes:
    """Inverse of ``encipher``; ChannelBroken when a block is cut off or the padding is missing."""
    try:
        return unpad(cbc_decrypt(algorithm, iv, text))
    except ValueError as error:
        raise ChannelBroken(f"enciphered data: {error}") from error
