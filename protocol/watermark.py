"""The cloud's receipt: up to where a terminal's records are in the ledger. Signed, retained."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from msgspec import Struct

from protocol.codec import decode, encode
from protocol.record import Code, Count, Hash
from protocol.signing import Purpose, SigningKey, VerifyingKey, open_signed, sign

# A terminal that is far behind is told its oldest gaps first; the next watermark tells the rest.
MISSING_RANGES_MAX = 16
QUARANTINED_MAX = 64


class Standing(IntEnum):
    """What the cloud grants the terminal."""

    ACTIVE = 0
    DRAIN_ONLY = 1  # revoked or expired: hand in the journal, accept no card
    FORKED = 2  # two histories under one identity: stop, an operator decides


class Watermark(Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """Records of ``epoch`` up to ``upto_seq``, the last with ``head_hash``, are committed.

    ``missing`` are closed ranges of seq to send again; ``quarantined`` are (seq, reason) that the
    ledger keeps apart, newest last: they are received too, and must not be sent again.
    """

    version: int = 1
    terminal: Code
    epoch: Count
    upto_seq: Count
    head_hash: Hash
    server_ms: Count
    missing: tuple[tuple[Count, Count], ...] = ()
    quarantined: tuple[tuple[Count, Code], ...] = ()
    standing: Standing = Standing.ACTIVE


def issue(watermark: Watermark, key: SigningKey) -> bytes:
    """Return the signed bytes of ``watermark``."""
    return sign(encode(watermark), Purpose.WATERMARK, key)


def accept(data: bytes, keys: Mapping[bytes, VerifyingKey]) -> Watermark:
    """Return the watermark in ``data`` when the cloud signed it."""
    return decode(open_signed(data, Purpose.WATERMARK, keys), Watermark)
