"""Commands and responses of ISO/IEC 7816-4 as bytes; carrying them is left to the readers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from drivers.errors import CardRefused

SW_OK = 0x9000
SHORT_LC_MAX = 255  # one length byte, 0 means no data
SHORT_NE_MAX = 256  # one length byte, 0 means 256
EXTENDED_LC_MAX = 65_535  # two length bytes
EXTENDED_NE_MAX = 65_536  # two length bytes, 0 means 65,536
# A card that keeps saying "more" or "again" is broken; 64 KiB need 256 turns of 256 bytes.
TURNS_MAX = 260

_CHAINED = 0x10  # class bit: more of this command follows (ISO/IEC 7816-4, 5.4.1)
_GET_RESPONSE = 0xC0

# ISO/IEC 7816-4, tables 5 and 6; a name with "xx" stands for every second byte.
_STATUS = {
    0x9000: "ok",
    0x6281: "part of the data may be corrupt",
    0x6282: "end of file before Le bytes",
    0x6283: "selected file is deactivated",
    0x6700: "wrong length",
    0x6881: "logical channel not supported",
    0x6882: "secure messaging not supported",
    0x6884: "command chaining not supported",
    0x6982: "security status not satisfied",
    0x6983: "authentication method blocked",
    0x6985: "conditions of use not satisfied",
    0x6A80: "wrong data",
    0x6A82: "file or application not found",
    0x6A84: "not enough memory",
    0x6A86: "wrong P1 or P2",
    0x6A88: "referenced data not found",
    0x6B00: "offset outside the file",
    0x6D00: "instruction not supported",
    0x6E00: "class not supported",
    0x6F00: "no precise diagnosis",
}
_STATUS_FAMILY = {0x61: "more data waits", 0x63: "warning, state changed", 0x6C: "wrong Le"}


def status_name(status: int) -> str:
    """Return '6A82 file or application not found', or the number alone when it has no name."""
    tries = f"wrong, {status & 0x0F} tries left" if status & 0xFFF0 == 0x63C0 else None
    name = tries or _STATUS.get(status) or _STATUS_FAMILY.get(status >> 8, "")
    return f"{status:04X} {name}".rstrip()


@dataclass(frozen=True, slots=True)
class CommandApdu:
    """One command. ``ne`` is the most bytes wanted back: None for none, at most 65,536."""

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes = b""
    ne: int | None = None

    def __post_init__(self) -> None:
        header = (self.cla, self.ins, self.p1, self.p2)
        if not all(0 <= value <= 0xFF for value in header):
            raise ValueError("CLA, INS, P1 and P2 are bytes")
        ne = 1 if self.ne is None else self.ne
        if len(self.data) > EXTENDED_LC_MAX or not 1 <= ne <= EXTENDED_NE_MAX:
            raise ValueError("data or Ne is longer than a command can say")

    @property
    def fits_short(self) -> bool:
        """Whether short length bytes hold it (a larger ``ne`` is then asked for as 256)."""
        return len(self.data) <= SHORT_LC_MAX

    def encode(self, *, extended: bool = False) -> bytes:
        """Return the command as bytes (ISO/IEC 7816-3, 12.1.3), short wherever that says it.

        Without ``extended`` a longer ``ne`` becomes 256, and longer data is a ValueError.
        """
        ne = self.ne or 0
        head = bytes((self.cla, self.ins, self.p1, self.p2))
        if not extended and not self.fits_short:
            raise ValueError("the data needs extended length or chaining")
        if not extended or (self.fits_short and ne <= SHORT_NE_MAX):
            lc = bytes((len(self.data),)) if self.data else b""
            le = bytes((min(ne, SHORT_NE_MAX) & 0xFF,)) if ne else b""
            return head + lc + self.data + le
        lc = b"\x00" + len(self.data).to_bytes(2, "big") if self.data else b""
        le = (ne & 0xFFFF).to_bytes(2, "big") if ne else b""
        return head + lc + self.data + (le if lc else b"\x00" + le)


@dataclass(frozen=True, slots=True)
class ResponseApdu:
    """One response: the data and the status word."""

    data: bytes
    sw: int

    @classmethod
    def decode(cls, answer: bytes) -> ResponseApdu:
        """CardRefused (status 0) when there are not even the two bytes of a status word."""
        if len(answer) < 2:
            raise CardRefused(0, f"an answer of {len(answer)} bytes has no status word")
        return cls(answer[:-2], int.from_bytes(answer[-2:], "big"))

    @property
    def ok(self) -> bool:
        """Whether the status word is 9000."""
        return self.sw == SW_OK


Outcome = TypeVar("Outcome")
# A dialogue, or a part of one: yields commands, is sent whole responses, returns what came of it.
Steps = Generator[CommandApdu, ResponseApdu, Outcome]


def refused(response: ResponseApdu, step: str) -> CardRefused:
    """Return the error that says which step the card refused and with which status word."""
    return CardRefused(response.sw, f"{step}: {status_name(response.sw)}")


def transmit(
    command: CommandApdu, send: Callable[[bytes], bytes], *, extended: bool
) -> ResponseApdu:
    """Carry one command out and return its whole response, however many exchanges that takes.

    Chains long data where ``extended`` length is not there, fetches what 61xx announces and asks
    again with the length that 6Cxx names (ISO/IEC 7816-4, 5.4.1 and 5.6; 7816-3, 12.2).
    """
    *first, last = _links(command, extended=extended)
    for link in first:
        response = ResponseApdu.decode(send(link.encode()))
        if not response.ok:
            return response
    response = ResponseApdu.decode(send(last.encode(extended=extended)))
    if response.sw >> 8 == 0x6C:
        last = replace(last, ne=response.sw & 0xFF or SHORT_NE_MAX)
        response = ResponseApdu.decode(send(last.encode(extended=extended)))
    return _collect(response, command.cla, send)


def tpdu_t0(command: bytes) -> bytes:
    """Return a short command as T=0 carries it (ISO/IEC 7816-3, 12.2).

    Case 1 gets a zero P3; case 4 loses its Le, and the card announces its answer with 61xx.
    """
    if len(command) == 4:
        return command + b"\x00"
    return command[:-1] if len(command) == 6 + command[4] else command


def _links(command: CommandApdu, *, extended: bool) -> Iterator[CommandApdu]:
    """Yield the commands of a chain; a command that fits is its own only link."""
    data, step = command.data, EXTENDED_LC_MAX if extended else SHORT_LC_MAX
    while len(data) > step:
        yield replace(command, cla=command.cla | _CHAINED, data=data[:step], ne=None)
        data = data[step:]
    yield replace(command, data=data)


def _collect(response: ResponseApdu, cla: int, send: Callable[[bytes], bytes]) -> ResponseApdu:
    """Follow 61xx with GET RESPONSE until another status word ends the data."""
    data = [response.data]
    for _ in range(TURNS_MAX):
        if response.sw >> 8 != 0x61:
            return ResponseApdu(b"".join(data), response.sw)
        waiting = response.sw & 0xFF or SHORT_NE_MAX
        more = CommandApdu(cla, _GET_RESPONSE, 0, 0, ne=waiting)
        response = ResponseApdu.decode(send(more.encode()))
        if response.sw >> 8 == 0x6C:
            exact = replace(more, ne=response.sw & 0xFF or SHORT_NE_MAX)
            response = ResponseApdu.decode(send(exact.encode()))
        data.append(response.data)
    raise CardRefused(response.sw, "the card announces data without end")
