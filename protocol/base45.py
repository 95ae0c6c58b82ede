"""Base45 (RFC 9285): bytes in the 45 characters that a QR code carries most tightly."""

from __future__ import annotations

from protocol.errors import Malformed

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_BASE = len(_ALPHABET)


def encode(data: bytes) -> str:
    """Three characters for two bytes, two for a last single one."""
    return "".join(_characters(data[at : at + 2]) for at in range(0, len(data), 2))


def decode(text: str) -> bytes:
    """Inverse of ``encode``; Malformed for every text that it does not make (RFC 9285, 6)."""
    return b"".join(_bytes(text[at : at + 3]) for at in range(0, len(text), 3))


def _characters(pair: bytes) -> str:
    value = int.from_bytes(pair, "big")
    digits = []
    for _ in range(len(pair) + 1):
        value, digit = divmod(value, _BASE)
        digits.append(_ALPHABET[digit])
    return "".join(digits)


def _bytes(group: str) -> bytes:
    try:
        value = 0
        for character in reversed(group):
            value = value * _BASE + _VALUES[character]
        if len(group) == 1:
            raise Malformed("base45: a single character is left over")
        return value.to_bytes(len(group) - 1, "big")
    except KeyError as error:
        raise Malformed("base45: a character outside the alphabet") from error
    except OverflowError as error:
        raise Malformed("base45: a group above what its bytes hold") from error
