"""How commands and answers reach a card: chains, wrong Le, and T=0; what they do is the card's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from drivers.virtual.command import SHORT_LE, Command, Refused, parse

CHAINED = 0x10
"""Bit of CLA: more of this command follows (ISO/IEC 7816-4, 5.4.1)."""

Answer = tuple[bytes, int]
"""Data and status word."""

Handler = Callable[[Command], Answer]


class Transmission:
    """Between one card's APDUs and its handlers; `longest` bounds the data of a chain, in bytes.

    With `t0` the card speaks T=0 (ISO/IEC 7816-3, 10 and 12.2): no extended length, an answer to
    a command with data waits behind 61xx for GET RESPONSE, another Le than the exact one is 6Cxx.
    """

    def __init__(self, longest: int, *, t0: bool) -> None:
        self._longest, self._t0 = longest, t0
        self.reset()

    def reset(self) -> None:
        """Power was lost."""
        self._pending = b""
        self._chain: tuple[int, bytes] | None = None

    def answer(self, apdu: bytes, run: Handler) -> bytes:
        """Answer any bytes whatever with what ``run`` makes of the command, and a status word."""
        try:
            data, status = self.carry(parse(apdu), run)
        except Refused as refused:
            data, status = b"", refused.status
        return data + status.to_bytes(2, "big")

    def carry(self, command: Command, handler: Handler) -> Answer:
        """Run the handler on the whole command and hand its answer over.  Raises Refused."""
        if self._t0 and command.extended:
            raise Refused(0x6700)
        if handler == self.get_response:
            return handler(command)
        self._pending = b""
        if self._t0 and not command.data and command.ne is None:
            command = replace(command, ne=SHORT_LE)  # a header with P3 = 00 is all that T=0 can say
        whole = self._unchain(command)
        return self._deliver(whole, *handler(whole)) if whole else (b"", 0x9000)

    def require_le(self, command: Command, length: int) -> None:
        """Refuse another Le before the command takes effect, since it will be sent again."""
        if self._t0 and command.data:
            return
        if command.ne is None:
            raise Refused(0x6700)
        if command.ne < length or (self._t0 and command.ne != length):
            raise Refused(0x6C00 | length)

    def get_response(self, command: Command) -> Answer:
        """GET RESPONSE (ISO/IEC 7816-4, 11.7.1): the waiting answer, whole or in pieces."""
        if command.p1p2:
            raise Refused(0x6A86)
        if not self._pending:
            raise Refused(0x6985)
        asked = command.ne or SHORT_LE
        if asked > len(self._pending):
            raise Refused(0x6C00 | len(self._pending))
        data, self._pending = self._pending[:asked], self._pending[asked:]
        return data, 0x6100 | len(self._pending) & 0xFF if self._pending else 0x9000

    def _unchain(self, command: Command) -> Command | None:
        """Collect a chain (ISO/IEC 7816-4, 5.3.3); the whole command, or None while more comes."""
        header = command.ins << 16 | command.p1p2
        (started, data), self._chain = self._chain or (header, b""), None
        if started != header:
            raise Refused(0x6883)
        data += command.data
        if len(data) > self._longest:
            raise Refused(0x6700)
        if command.cla & CHAINED:
            self._chain = header, data
            return None
        return replace(command, data=data)

    def _deliver(self, command: Command, data: bytes, status: int) -> Answer:
        if self._t0 and command.data and data:
            self._pending = data
            return b"", 0x6100 | len(data) & 0xFF
        asked = command.ne or 0
        if data and (len(data) > asked > 0 or (self._t0 and len(data) < asked)):
            raise Refused(0x6C00 | len(data) & 0xFF)
        return data[:asked], status
