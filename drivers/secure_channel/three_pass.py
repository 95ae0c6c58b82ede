"""Mutual authentication in three passes (ISO/IEC 9798-2) as all NXP cards of this project do it.

The card encrypts a random number; the reader returns its own and the card's, rotated; the card
returns the reader's, rotated. Families differ in the cipher and in the IVs: that is a ``Link``.
"""

from __future__ import annotations

import hmac
from typing import Protocol

from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm

from drivers.errors import CardForged
from protocol.block_cipher import cbc_decrypt, cbc_encrypt, xor


class Link(Protocol):
    """One side's cipher for the frames of one authentication, in their order."""

    def send(self, plain: bytes) -> bytes:
        """Encipher whole blocks that leave this side."""

    def receive(self, data: bytes) -> bytes:
        """Decipher whole blocks that reached this side."""


class Chained:
    """CBC whose IV is the last ciphertext block of whatever went before, in either direction."""

    def __init__(self, algorithm: BlockCipherAlgorithm, iv: bytes | None = None) -> None:
        self.algorithm = algorithm
        self.iv = bytes(algorithm.block_size // 8) if iv is None else iv

    def send(self, plain: bytes) -> bytes:
        """See Link."""
        data = cbc_encrypt(self.algorithm, self.iv, plain)
        self.iv = data[-len(self.iv) :]
        return data

    def receive(self, data: bytes) -> bytes:
        """See Link."""
        plain = cbc_decrypt(self.algorithm, self.iv, data)
        self.iv = data[-len(self.iv) :]
        return plain


class Fresh:
    """CBC that starts each frame with an IV of zeros."""

    def __init__(self, algorithm: BlockCipherAlgorithm) -> None:
        self._algorithm = algorithm
        self._iv = bytes(algorithm.block_size // 8)

    def send(self, plain: bytes) -> bytes:
        """See Link."""
        return cbc_encrypt(self._algorithm, self._iv, plain)

    def receive(self, data: bytes) -> bytes:
        """See Link."""
        return cbc_decrypt(self._algorithm, self._iv, data)


class DecryptOnly:
    """The reader of a DESFire D40: it only deciphers, and sends by deciphering in CBC."""

    def __init__(self, algorithm: BlockCipherAlgorithm) -> None:
        self._algorithm = algorithm
        self._size = algorithm.block_size // 8

    def send(self, plain: bytes) -> bytes:
        """See Link."""
        sent = bytes(self._size)
        for at in range(0, len(plain), self._size):
            block = xor(plain[at : at + self._size], sent[-self._size :])
            sent += cbc_decrypt(self._algorithm, bytes(self._size), block)
        return sent[self._size :]

    def receive(self, data: bytes) -> bytes:
        """See Link."""
        return cbc_decrypt(self._algorithm, bytes(self._size), data)


class EncryptOnly:
    """The card's side of ``DecryptOnly``."""

    def __init__(self, algorithm: BlockCipherAlgorithm) -> None:
        self._algorithm = algorithm
        self._size = algorithm.block_size // 8

    def send(self, plain: bytes) -> bytes:
        """See Link."""
        return cbc_encrypt(self._algorithm, bytes(self._size), plain)

    def receive(self, data: bytes) -> bytes:
        """See Link."""
        zeros, plain = bytes(self._size), b""
        chained = zeros + data
        for at in range(0, len(data), self._size):
            block = cbc_encrypt(self._algorithm, zeros, data[at : at + self._size])
            plain += xor(block, chained[at : at + self._size])
        return plain


def reader_token(link: Link, challenge: bytes, rnd_a: bytes) -> tuple[bytes, bytes]:
    """Second pass, reader: the token to send, and the card's random number."""
    if len(challenge) != len(rnd_a):
        raise CardForged(f"a challenge of {len(challenge)} bytes")
    rnd_b = link.receive(challenge)
    return link.send(rnd_a + _rotated(rnd_b)), rnd_b


def reader_check(link: Link, answer: bytes, rnd_a: bytes, at: int = 0) -> bytes:
    """Third pass, reader: the whole deciphered answer; CardForged unless it returns ``rnd_a``.

    ``at`` is where the returned number starts; 4 bytes of transaction identifier may precede it.
    """
    if not answer or len(answer) % len(rnd_a):
        raise CardForged(f"an answer of {len(answer)} bytes")
    plain = link.receive(answer)
    if not hmac.compare_digest(plain[at : at + len(rnd_a)], _rotated(rnd_a)):
        raise CardForged("the card did not return the terminal's random number")
    return plain


def card_check(link: Link, token: bytes, rnd_b: bytes) -> bytes:
    """Second pass, card: the reader's random number; CardForged unless it returns ``rnd_b``."""
    if len(token) != 2 * len(rnd_b):
        raise CardForged(f"a token of {len(token)} bytes")
    plain = link.receive(token)
    if not hmac.compare_digest(plain[len(rnd_b) :], _rotated(rnd_b)):
        raise CardForged("the reader did not return the card's random number")
    return plain[: len(rnd_b)]


def card_answer(link: Link, rnd_a: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    """Third pass, card: the reader's number rotated, with what else the family sends."""
    return link.send(before + _rotated(rnd_a) + after)


def _rotated(number: bytes) -> bytes:
    return number[1:] + number[:1]
