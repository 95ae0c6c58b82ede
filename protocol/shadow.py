"""Desired and reported state of a terminal, by the rules of device shadows: versions only rise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

from protocol.codec import decode, encode
from protocol.record import Code, Count, Hash
from protocol.signing import Purpose, SigningKey, VerifyingKey, open_signed, sign

# More bundles than that never wait at once.
ARMED_MAX = 16


class Desired(Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """What the cloud wants; a terminal ignores a ``revision`` that is not above its own."""

    version: int = 1
    terminal: Code
    revision: Count
    status_every_s: Count = 30


class Reported(Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """What the terminal has: revision, bundle in force, those that wait, member list, epoch.

    ``feed`` is that of the member list: another one than the cloud's counts as no list.
    """

    version: int = 1
    revision: Count = 0
    bundle_version: Count = 0
    bundle_digest: Hash = bytes(32)
    armed_versions: Annotated[tuple[Count, ...], Meta(max_length=ARMED_MAX)] = ()
    list_version: Count = 0
    epoch: Count = 0
    feed: Count = 0


def issue(desired: Desired, key: SigningKey) -> bytes:
    """Return the signed bytes of ``desired``."""
    return sign(encode(desired), Purpose.DESIRED, key)


def accept(data: bytes, keys: Mapping[bytes, VerifyingKey]) -> Desired:
    """Return the desired state in ``data`` when the cloud signed it."""
    return decode(open_signed(data, Purpose.DESIRED, keys), Desired)
