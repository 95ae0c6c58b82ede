"""A point in time as an interval with a quality: what a terminal honestly knows of 'now'."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated

from msgspec import Meta, Struct


class Quality(IntEnum):
    """How far the wall clock of a moment may be trusted."""

    NONE = 0  # the wall clock is meaningless
    FLOOR = 1  # not before wall_ms; how much later is unknown
    BOUNDED = 2  # within uncertainty_ms of wall_ms
    AUTHENTICATED = 3  # bounded, and the bound comes from signed time


class Moment(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """``boot`` names the boot (8 bytes); ``mono_ms`` orders moments inside one boot."""

    boot: Annotated[bytes, Meta(min_length=8, max_length=8)]
    mono_ms: Annotated[int, Meta(ge=0, lt=1 << 53)]
    wall_ms: Annotated[int, Meta(ge=0, lt=1 << 48)]
    quality: Quality
    uncertainty_ms: Annotated[int, Meta(ge=0, lt=1 << 48)]
