"""A command APDU as a card reads it (ISO/IEC 7816-3, 12.1); what it asks for is the card's."""

from __future__ import annotations

from dataclasses import dataclass

SHORT_LE = 256
"""What a short Le of 00 asks for."""

EXTENDED_LE = 65536
"""What an extended Le of 0000 asks for."""


class Refused(Exception):
    """A command ends with this status word and no data; never leaves the card."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status:04X}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Command:
    """A parsed command; `ne` is the number of answer bytes asked for, None when there is no Le."""

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes = b""
    ne: int | None = None
    extended: bool = False

    @property
    def p1p2(self) -> int:
        """Both parameters as one 16-bit number."""
        return self.p1 << 8 | self.p2


def parse(apdu: bytes) -> Command:
    """Read the seven cases 1, 2S, 3S, 4S, 2E, 3E, 4E; anything else is Refused(6700)."""
    if len(apdu) < 4:
        raise Refused(0x6700)
    cla, ins, p1, p2, body = *apdu[:4], apdu[4:]
    data, ne, extended = _body(body)
    return Command(cla, ins, p1, p2, data, ne, extended)


def _body(body: bytes) -> tuple[bytes, int | None, bool]:
    if not body:
        return b"", None, False
    if len(body) == 1:
        return b"", body[0] or SHORT_LE, False
    if body[0]:
        data, le = _split(body[1:], body[0], 1)
        return data, (le[0] or SHORT_LE) if le else None, False
    if len(body) < 3:
        raise Refused(0x6700)
    length = int.from_bytes(body[1:3], "big")
    if len(body) == 3:
        return b"", length or EXTENDED_LE, True
    data, le = _split(body[3:], length, 2)
    return data, (int.from_bytes(le, "big") or EXTENDED_LE) if le else None, True


def _split(rest: bytes, length: int, le_size: int) -> tuple[bytes, bytes]:
    if not length or len(rest) not in (length, length + le_size):
        raise Refused(0x6700)
    return rest[:length], rest[length:]
