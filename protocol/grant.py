"""The cloud's permission to open an epoch: without it a terminal has no right to a chain."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from msgspec import Struct

from protocol.chain import Head
from protocol.codec import decode, encode
from protocol.record import Code, Count
from protocol.signing import Purpose, SigningKey, VerifyingKey, open_signed, sign


class Grant(Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """``terminal`` may open ``epoch`` with the key ``key_id``; its first record links to this."""

    version: int = 1
    tenant: Code
    site: Code
    terminal: Code
    epoch: Count
    key_id: bytes
    issued_ms: Count


def issue(grant: Grant, key: SigningKey) -> bytes:
    """Return the signed bytes of ``grant``."""
    return sign(encode(grant), Purpose.GRANT, key)


def accept(data: bytes, keys: Mapping[bytes, VerifyingKey]) -> Grant:
    """Return the grant in ``data`` when the cloud signed it."""
    return decode(open_signed(data, Purpose.GRANT, keys), Grant)


def opening_head(epoch: int, data: bytes) -> Head:
    """The head that the first record of ``epoch`` follows, from the grant's signed bytes."""
    return Head(epoch, 0, sha256(data).digest())
