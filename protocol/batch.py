"""A run of consecutive records on their way up, as the exact bytes that were signed.

Wire form: CBOR array [version, [record, ...]], records as byte strings. The batch itself carries
no signature: its records are chained, so the last one's signature vouches for all.
"""

from __future__ import annotations

from collections.abc import Sequence

import cbor2

from protocol.errors import Malformed, TooLarge, WrongVersion

BATCH_VERSION = 1
# 50 records a signature and a transaction; more gains little (one signature is shared already).
BATCH_RECORDS_MAX = 50
# One message stays far below every broker's packet limit, so that it can never block the line.
BATCH_BYTES_MAX = 32 * 1024
_HEAD_BYTES = 8  # array heads, version and the head of each of the parts, rounded up
_RECORD_HEAD_BYTES = 3


def fitting(sizes: Sequence[int]) -> int:
    """Return how many records of the given sizes, from the first on, one batch takes (>= 1)."""
    room = BATCH_BYTES_MAX - _HEAD_BYTES
    for count, size in enumerate(sizes[:BATCH_RECORDS_MAX]):
        room -= size + _RECORD_HEAD_BYTES
        if room < 0:
            return max(count, 1)
    return min(len(sizes), BATCH_RECORDS_MAX)


def pack(records: Sequence[bytes]) -> bytes:
    """Return the message that carries ``records``; TooLarge when they do not fit one."""
    data = cbor2.dumps([BATCH_VERSION, list(records)])
    if len(records) > BATCH_RECORDS_MAX or len(data) > BATCH_BYTES_MAX:
        raise TooLarge(f"batch of {len(records)} records, {len(data)} bytes")
    return data


def unpack(data: bytes) -> list[bytes]:
    """Return the records in ``data`` as they were signed; their content is left to the reader."""
    if len(data) > BATCH_BYTES_MAX:
        raise TooLarge(f"batch of {len(data)} bytes, at most {BATCH_BYTES_MAX}")
    try:
        version, records = cbor2.loads(data)
    except (cbor2.CBORDecodeError, ValueError, TypeError) as error:
        raise Malformed("not a batch") from error
    if version != BATCH_VERSION:
        raise WrongVersion("batch")
    if type(records) not in (list, tuple) or not 1 <= len(records) <= BATCH_RECORDS_MAX:
        raise Malformed(f"a batch holds 1 to {BATCH_RECORDS_MAX} records")
    if not all(type(record) is bytes for record in records):
        raise Malformed("a batch holds byte strings")
    return list(records)
