"""What a dialogue and a software card need of a secured session, whichever cipher stands behind.

Payloads only: what follows Lc in a command, and what precedes the status in a response. Frames
that chain a long payload (AF) carry it in pieces; cutting and joining is left to the dialogues.
"""

from __future__ import annotations

from enum import Enum
from typing import Protocol

STATUS_OK = 0x00  # second status byte of 9100


class CommunicationMode(Enum):
    """How much of an exchange is protected; a file's settings say which."""

    PLAIN = "plain"
    MAC = "mac"
    FULL = "full"


class Channel(Protocol):
    """One side of a session. An exchange is a command and then its response, in this order.

    ChannelBroken ends the session: after it every call raises ChannelBroken again. A response that
    is an error (a status other than 9100) carries no MAC and ends the session too: drop it.
    """

    def reader_wrap(
        self, ins: int, header: bytes = b"", data: bytes = b"", *, mode: CommunicationMode
    ) -> bytes:
        """Protect a command; the header is never enciphered."""

    def card_unwrap(
        self,
        ins: int,
        payload: bytes,
        header_length: int,
        *,
        mode: CommunicationMode,
        length: int | None = None,
    ) -> tuple[bytes, bytes]:
        """Check a command; returns header and plain data.

        ``length`` of the plain data, where the header or the command says it: other data is
        ChannelBroken, and EV1 cannot open data in FULL without it.
        """

    def card_wrap(
        self, data: bytes = b"", *, mode: CommunicationMode, status: int = STATUS_OK
    ) -> bytes:
        """Protect a response."""

    def reader_unwrap(
        self,
        payload: bytes,
        *,
        mode: CommunicationMode,
        status: int = STATUS_OK,
        length: int | None = None,
    ) -> bytes:
        """Check a response; returns plain data. ``length`` as in ``card_unwrap``."""
