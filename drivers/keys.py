"""The MAC and the wrap that CPU cards ask for. Keys come in as bytes and are kept nowhere."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from protocol.block_cipher import cmac


def aes_cmac(key: bytes, message: bytes) -> bytes:
    """AES-CMAC (RFC 4493, NIST SP 800-38B): 16 bytes, for keys of 16, 24 or 32 bytes."""
    return cmac(AES(key), message)


def wrap_key(wrapping: bytes, key: bytes) -> bytes:
    """AES key wrap (RFC 3394): ``key`` under ``wrapping``, 8 bytes longer than ``key``."""
    return aes_key_wrap(wrapping, key)
