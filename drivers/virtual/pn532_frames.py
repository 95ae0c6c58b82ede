"""Frames of the PN532's host link (NXP UM0701-02, 6.2); what the commands mean is the chip's."""

from __future__ import annotations

ACK = bytes.fromhex("0000FF00FF00")
ERROR_FRAME = bytes.fromhex("0000FF01FF7F8100")
"""Application-level error: the command is not known (6.2.1.5)."""

LONGEST_BODY = 265
"""Bytes from TFI to the last data byte in an extended frame (6.2.1.2)."""

HALF_FRAME_LIFE_S = 0.05
"""A frame that pauses this long stays unfinished: hosts send it in one write, so its host died.

Half of the 100 ms that hosts wait for an acknowledgement: the next host's second try is heard.
"""


class HostFrames:
    """Finds command frames in the host's bytes, also behind half a frame or noise."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._heard = 0.0

    def feed(self, data: bytes, now: float) -> list[bytes]:
        """Return the bodies (command code and data) that became complete; `now` in seconds."""
        if now - self._heard > HALF_FRAME_LIFE_S:
            self._buffer.clear()
        self._heard = now
        self._buffer += data
        bodies: list[bytes] = []
        while (start := self._buffer.find(b"\x00\xff")) >= 0:
            del self._buffer[:start]
            body, used = _parse(self._buffer)
            if not used:
                return bodies
            if body:
                bodies.append(body)
            del self._buffer[:used]
        del self._buffer[:-1]
        return bodies


def _parse(buffer: bytearray) -> tuple[bytes, int]:
    """Look at a buffer that begins with 00 FF: (body or nothing, bytes used; 0 = wait for more)."""
    extended = buffer[2:4] == b"\xff\xff"
    head = 7 if extended else 4
    if len(buffer) < head:
        return b"", 0
    if bytes(buffer[2:4]) in {b"\x00\xff", b"\xff\x00"}:
        return b"", 4  # the host's ACK or NACK
    counted = buffer[4:7] if extended else buffer[2:4]
    size = int.from_bytes(counted[:-1], "big")
    if sum(counted) & 0xFF or not 2 <= size <= LONGEST_BODY:
        return b"", 2
    checked = bytes(buffer[head : head + size + 1])
    if len(checked) <= size:
        return b"", 0
    if checked[0] != 0xD4 or sum(checked) & 0xFF:
        return b"", 2
    return checked[1:-1], head + size + 1


def response_frame(command: int, data: bytes) -> bytes:
    """Frame a response; extended where it is longer than 255 bytes."""
    body = bytes([0xD5, command + 1]) + data
    size = len(body)
    head = bytes([size & 0xFF, -size & 0xFF])
    if size > 255:
        head = b"\xff\xff" + size.to_bytes(2, "big") + bytes([-((size >> 8) + size) & 0xFF])
    return b"\x00\x00\xff" + head + body + bytes([-sum(body) & 0xFF, 0])
