"""What an operator may tell a terminal to do: few verbs, signed, each with an end of validity."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from protocol.codec import decode, encode
from protocol.record import Code, Count, Ident, Text
from protocol.signing import Purpose, SigningKey, VerifyingKey, open_signed, sign


class Verb(StrEnum):
    """The allow-list. There is no shell."""

    SYNC_NOW = "sync_now"
    LOCK = "lock"
    UNLOCK = "unlock"


class Command(Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """One order to one terminal; ``id`` makes a second delivery harmless."""

    version: int = 1
    id: Ident
    terminal: Code
    verb: Verb
    not_after_ms: Count
    operator: Text


class CommandDone(Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """The terminal's answer; ``code`` is ``done`` or why not."""

    version: int = 1
    id: Ident
    code: Code


def issue(command: Command, key: SigningKey) -> bytes:
    """Return the signed bytes of ``command``."""
    return sign(encode(command), Purpose.COMMAND, key)


def accept(data: bytes, keys: Mapping[bytes, VerifyingKey]) -> Command:
    """Return the command in ``data`` when the cloud signed it."""
    return decode(open_signed(data, Purpose.COMMAND, keys), Command)
