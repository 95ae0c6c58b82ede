"""How either GlobalPlatform channel opens: both sides prove that they hold the session's keys.

INITIALIZE UPDATE and EXTERNAL AUTHENTICATE look alike in SCP02 and SCP03 (Card Specification,
annexes D and E; Amendment D); keys, cryptograms and MACs are the protocol's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from hmac import compare_digest
from typing import Protocol, TypeVar

from drivers.apdu import SHORT_NE_MAX, CommandApdu
from drivers.errors import CardForged


class Opened(Protocol):
    """A session that can put a MAC on a command, and check one."""

    def authenticated(self, command: CommandApdu) -> CommandApdu: ...
    def verified(self, command: CommandApdu) -> CommandApdu: ...


Session = TypeVar("Session", bound=Opened)


def initialize_update(key_version: int, host_challenge: bytes) -> CommandApdu:
    """The command that opens a session."""
    return CommandApdu(0x80, 0x50, key_version, 0, host_challenge, ne=SHORT_NE_MAX)


def authenticate(
    protocol: int,
    open_session: Callable[[int], Session],
    level: int,
    cryptograms: tuple[bytes, bytes, bytes],
) -> tuple[CommandApdu, Session]:
    """Host: check the card's cryptogram; return EXTERNAL AUTHENTICATE and the session behind it.

    ``cryptograms``: what the card said, what it must say, and what the host answers.
    """
    said, expected, proof = cryptograms
    if not compare_digest(expected, said):
        raise CardForged(f"SCP{protocol:02}: wrong card cryptogram")
    session = open_session(level)
    return session.authenticated(CommandApdu(0x80, 0x82, level, 0, proof)), session


def accept(
    protocol: int,
    open_session: Callable[[int], Session],
    levels: Collection[int],
    command: CommandApdu,
    expected: bytes,
) -> Session:
    """Card: the session that EXTERNAL AUTHENTICATE opens, when it proves ``expected``.

    CardForged when it is none or of other keys, ChannelBroken when its MAC does not hold.
    """
    if command.ins != 0x82 or command.p1 not in levels or command.p2:
        raise CardForged(f"SCP{protocol:02}: not an EXTERNAL AUTHENTICATE")
    session = open_session(command.p1)
    if not compare_digest(session.verified(command).data, expected):
        raise CardForged(f"SCP{protocol:02}: wrong host cryptogram")
    return session
