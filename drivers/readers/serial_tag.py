"""Reader kind: readers on a serial line that say a card's number.

RDM6300 and others for EM4100 tags (125 kHz), readers that write numbers as text, stripe readers.
"""

from __future__ import annotations

from functools import reduce
from operator import xor

from drivers.errors import ReaderRefused
from drivers.listening import Finding, ListeningReader
from drivers.number_format import EM4100_FRAME, FORMATS, Format
from drivers.reader import Reader, ReaderKind, ReaderSettings
from drivers.serial_line import GAP_S, Device, LineFramer, SerialSource

BAUD = 9600  # of the RDM6300, and the usual rate of the others
# An RDM6300 says a tag again about ten times a second while it is held; others say it once.
QUIET_S = 1.0
FRAME_BYTES_MAX = 64  # the longest, a track 2, has 40 characters

_STX, _ETX = b"\x02", b"\x03"
_NUMBER_BYTES = 5  # version or customer, and the 32 bits of the tag (EM4100 data sheet)


def em4100(frame: bytes) -> bytes | None:
    """Number in what stands before ETX: ten hexadecimal digits and two of their exclusive or."""
    said = frame.rpartition(_STX)[2].strip(b"\r\n")
    try:
        data = bytes.fromhex(said.decode("ascii"))
    except ValueError:
        return None
    is_frame = _STX in frame and len(said) == 2 * len(data) == 2 * (_NUMBER_BYTES + 1)
    return data[:-1] if is_frame and reduce(xor, data) == 0 else None


def framer(name: str) -> LineFramer:
    """What finds the numbers of a format; ReaderRefused for one that is not known."""
    read = em4100 if name == EM4100_FRAME else FORMATS.get(name)
    if read is None:
        known = ", ".join([EM4100_FRAME, *FORMATS])
        raise ReaderRefused(f"'{name}' is no format; known are {known}")
    ends = _ETX if name == EM4100_FRAME else b"\r\n" + _ETX
    return LineFramer(lambda frame: _finding(name, read, frame), ends, GAP_S, FRAME_BYTES_MAX)


def _finding(name: str, read: Format, frame: bytes) -> Finding | None:
    number = read(frame if read is em4100 else frame.strip(_STX))
    return Finding(number, number_format=name) if number else None


def open_serial_tag(settings: ReaderSettings) -> Reader:
    """Open ``FORMAT:/dev/NAME?baud=9600``; formats are rdm6300, hex, decimal and track2."""
    name, _, where = settings.path.partition(":")
    found = framer(name)
    device = Device.parse(where, frozenset({"baud"}))
    source = SerialSource(device.path, device.baud(BAUD))
    return ListeningReader(f"{name} {device.path}", source, found, QUIET_S)


READER = ReaderKind(name="serial_tag", open=open_serial_tag)
