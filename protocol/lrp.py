"""Leakage resilient primitive of NXP (AN12304): evaluation, counter mode and CMAC.

Only the arithmetic: Python hides nothing from a side channel. Which key signs what is left to SUN
and to the drivers' messaging.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from cryptography.hazmat.primitives.ciphers.algorithms import AES

from protocol.block_cipher import cbc_decrypt, doubled, one_block, xor

BLOCK_BYTES = 16
MAC_KEY, ENCRYPTION_KEY = 0, 1  # indices of updated keys (AN12304, section 2.3)
UPDATED_KEYS = 4

_PLAINTEXTS = 16  # one for each value of a nibble: m = 4
_STEP, _TAKE = b"\x55" * BLOCK_BYTES, b"\xaa" * BLOCK_BYTES
_ZEROS = bytes(BLOCK_BYTES)


@dataclass(frozen=True)
class LrpKey:
    """What a 16-byte key expands to: 16 secret plaintexts and 4 updated keys."""

    plaintexts: tuple[bytes, ...] = field(repr=False)
    updated_keys: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def expand(cls, key: bytes) -> LrpKey:
        """Algorithms 1 and 2 of AN12304."""
        return cls(_generate(key, _STEP, _PLAINTEXTS), _generate(key, _TAKE, UPDATED_KEYS))

    def evaluate(self, updated: int, nibbles: Iterable[int], *, final: bool = True) -> bytes:
        """Walk the key tree from an updated key (algorithm 3): 16 bytes."""
        block = self.updated_keys[updated]
        for nibble in nibbles:
            block = one_block(AES(block), self.plaintexts[nibble])
        return one_block(AES(block), _ZEROS) if final else block

    def encrypt(self, updated: int, counter: bytes, data: bytes) -> tuple[bytes, bytes]:
        """Encrypt whole blocks (LRICBEnc); also return the next counter, which rolls over."""
        blocks, following = self._keystream(updated, counter, data)
        return b"".join(one_block(AES(key), block) for key, block in blocks), following

    def decrypt(self, updated: int, counter: bytes, data: bytes) -> tuple[bytes, bytes]:
        """Inverse of ``encrypt`` (LRICBDec)."""
        blocks, following = self._keystream(updated, counter, data)
        plain = b"".join(cbc_decrypt(AES(key), _ZEROS, block) for key, block in blocks)
        return plain, following

    def cmac(self, message: bytes) -> bytes:
        """CMAC_LRP (algorithm 6): 16 bytes."""
        head = max(0, (len(message) - 1) // BLOCK_BYTES * BLOCK_BYTES)
        whole, padded = self.cmac_subkeys
        chained = _ZEROS
        for at in range(0, head, BLOCK_BYTES):
            chained = self._mac_step(xor(chained, message[at : at + BLOCK_BYTES]))
        last, subkey = message[head:], whole
        if len(last) < BLOCK_BYTES:
            last, subkey = (last + b"\x80").ljust(BLOCK_BYTES, b"\x00"), padded
        return self._mac_step(xor(xor(chained, last), subkey))

    @cached_property
    def cmac_subkeys(self) -> tuple[bytes, bytes]:
        """K1 for a whole last block and K2 for a padded one."""
        first = doubled(self._mac_step(_ZEROS))
        return first, doubled(first)

    def _mac_step(self, block: bytes) -> bytes:
        return self.evaluate(MAC_KEY, nibbles_of(block))

    def _keystream(
        self, updated: int, counter: bytes, data: bytes
    ) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """Pair each block of data with the key that its counter gives."""
        if len(data) % BLOCK_BYTES:
            raise ValueError("LRP encrypts whole blocks")
        pairs, value, modulus = [], int.from_bytes(counter, "big"), 1 << (8 * len(counter))
        for at in range(0, len(data), BLOCK_BYTES):
            name = value.to_bytes(len(counter), "big")
            key = self.evaluate(updated, nibbles_of(name))
            pairs.append((key, data[at : at + BLOCK_BYTES]))
            value = (value + 1) % modulus
        return pairs, value.to_bytes(len(counter), "big")


def nibbles_of(data: bytes) -> Iterable[int]:
    """The half bytes of data, high one first."""
    return (half for byte in data for half in (byte >> 4, byte & 0x0F))


def _generate(key: bytes, start: bytes, count: int) -> tuple[bytes, ...]:
    chained, taken = one_block(AES(key), start), []
    for _ in range(count):
        taken.append(one_block(AES(chained), _TAKE))
        chained = one_block(AES(chained), _STEP)
    return tuple(taken)
