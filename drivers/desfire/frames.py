"""Native DESFire commands in ISO/IEC 7816-4 wrapping, cut into frames and joined again.

Source: DESFire EV1/EV2 notes of public implementations; 90 ins 00 00 and status words 91xx.
"""

from __future__ import annotations

from drivers.apdu import CommandApdu, Steps
from drivers.errors import CardRefused

# A frame of ISO/IEC 14443-4 holds 64 bytes on every DESFire; 4 are its own, 6 the wrapping's.
FRAME_BYTES = 54
# A file has at most 8 KiB, and a frame brings at least 32 bytes of it.
FRAMES_MAX = 256

OK, MORE = 0x00, 0xAF
NO_CHANGES, ILLEGAL_COMMAND, NO_SUCH_KEY = 0x0C, 0x1C, 0x40
NOT_FOUND, AUTHENTICATION_ERROR, BOUNDARY, DUPLICATE = 0xA0, 0xAE, 0xBE, 0xDE
FILE_NOT_FOUND = 0xF0

_STATUS = {
    NO_CHANGES: "no changes",
    0x0E: "out of memory",
    ILLEGAL_COMMAND: "illegal command",
    0x1E: "wrong MAC, padding or checksum",
    NO_SUCH_KEY: "no such key",
    0x7E: "wrong length",
    0x9D: "permission denied",
    0x9E: "wrong parameter",
    NOT_FOUND: "no such application",
    AUTHENTICATION_ERROR: "authentication error",
    BOUNDARY: "beyond a limit of the file",
    0xCA: "an earlier command is not finished",
    DUPLICATE: "exists already",
    FILE_NOT_FOUND: "no such file",
}


def status_refused(status: int, step: str) -> CardRefused:
    """Return the error that says which step the card refused and why."""
    return CardRefused(0x9100 | status, f"{step}: 91{status:02X} {_STATUS.get(status, '')}".strip())


def frame(ins: int, payload: bytes = b"") -> Steps[tuple[bytes, int]]:
    """Send one frame; return data and status. CardRefused for a status word other than 91xx."""
    response = yield CommandApdu(0x90, ins, 0x00, 0x00, payload, ne=256)
    if response.sw >> 8 != 0x91:
        raise CardRefused(response.sw, f"the card does not speak DESFire: {response.sw:04X}")
    return response.data, response.sw & 0xFF


def exchange(ins: int, payload: bytes = b"") -> Steps[tuple[bytes, int]]:
    """Send a whole command, fetch the whole answer; return data and the status that ended it."""
    data, status = yield from frame(ins, payload[:FRAME_BYTES])
    for at in range(FRAME_BYTES, len(payload), FRAME_BYTES):
        if status != MORE:
            return data, status
        data, status = yield from frame(MORE, payload[at : at + FRAME_BYTES])
    for _ in range(FRAMES_MAX):
        if status != MORE:
            return data, status
        more, status = yield from frame(MORE)
        data += more
    raise status_refused(status, "the card announces data without end")


def plain(ins: int, payload: bytes = b"", *, step: str) -> Steps[bytes]:
    """Send a command outside a session; it must succeed."""
    data, status = yield from exchange(ins, payload)
    if status != OK:
        raise status_refused(status, step)
    return data
