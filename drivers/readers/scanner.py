"""Reader kind: scanners for QR codes on a serial line, mostly USB devices of the class CDC.

Their texts have neither length nor checksum: a scanner must be set to end each with CR, LF or both,
or with the character that ``suffix`` names.
"""

from __future__ import annotations

from drivers.listening import Finding, ListeningReader
from drivers.reader import Reader, ReaderKind, ReaderSettings
from drivers.serial_line import GAP_S, Device, LineFramer, SerialSource

BAUD = 115_200  # a USB device ignores it
# A scanner that is always on says a code again several times a second while it sees it.
QUIET_S = 1.0
TEXT_BYTES_MAX = 4096  # a QR code holds 4,296 characters at most, and member codes hold 483

_STX = "\x02"
_ENDS = b"\r\n"


def text(frame: bytes, prefix: str) -> Finding | None:
    """Text of one scan without its prefix; None for one without it and for what is no text.

    UTF-8, else GB18030, which scanners set to Chinese send.
    """
    for encoding in ("utf-8", "gb18030"):
        try:
            said = frame.decode(encoding).removeprefix(_STX)
        except UnicodeDecodeError:
            continue
        shown = said.removeprefix(prefix)
        is_text = said.startswith(prefix) and shown.isprintable()
        return Finding(text=shown) if shown and is_text else None
    return None


def framer(prefix: str = "", suffix: str = "") -> LineFramer:
    """What finds the texts between ends: CR and LF, or else each character of ``suffix``."""
    ends = suffix.encode() or _ENDS
    return LineFramer(lambda frame: text(frame, prefix), ends, GAP_S, TEXT_BYTES_MAX)


def open_scanner(settings: ReaderSettings) -> Reader:
    """Open ``/dev/NAME?prefix=%5DQ1&suffix=%03&baud=115200``; every option may be left out."""
    device = Device.parse(settings.path, frozenset({"baud", "prefix", "suffix"}))
    found = framer(device.options.get("prefix", ""), device.options.get("suffix", ""))
    source = SerialSource(device.path, device.baud(BAUD))
    return ListeningReader(f"scanner {device.path}", source, found, QUIET_S)


READER = ReaderKind(name="scanner", open=open_scanner)
