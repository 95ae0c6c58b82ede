"""The card's half of ISO-DEP (ISO/IEC 14443-4); anticollision and CRC are the carriers'."""

from __future__ import annotations

from collections.abc import Callable

FRAME_SIZES = (16, 24, 32, 40, 48, 64, 96, 128, 256)
"""Bytes of a whole frame for FSDI / FSCI 0..8 (ISO/IEC 14443-4, table 1)."""

FRAME_OVERHEAD = 3
"""PCB and two CRC bytes: what a frame has besides its information field."""

ATS_PARAMETERS = bytes.fromhex("7880A100")
"""FSCI 8 (256 bytes); 106 kbit/s; FWI 10 (309 ms, time for a signature); no CID, no NAD."""

LONGEST_APDU = 4 + 3 + 65535 + 2
"""An extended case 4 command: more than this in one chain is no command."""

_CHAINING = 0x10


class IsoDepCard:
    """Frames in, frames out, without CRC; None is silence, a card's answer to the unknown.

    `exchange` runs a command APDU (None: the card stays silent), `reset` is called at activation,
    `historical` is what the card says of itself in its ATS.
    """

    def __init__(
        self,
        exchange: Callable[[bytes], bytes | None],
        reset: Callable[[], None],
        historical: bytes,
    ) -> None:
        self._exchange, self._reset = exchange, reset
        self._ats = bytes([1 + len(ATS_PARAMETERS + historical)]) + ATS_PARAMETERS + historical
        self._active = False
        self.power_off()

    def power_off(self) -> None:
        """The field went away: the next thing this card understands is RATS."""
        self._active = False
        self._number = 1
        self._piece = FRAME_SIZES[0] - FRAME_OVERHEAD
        self._command = b""
        self._answer = b""
        self._last: bytes | None = None

    def receive(self, frame: bytes) -> bytes | None:
        """Answer one frame of the reader."""
        if not frame:
            return None
        pcb = frame[0]
        if not self._active:
            return self._activate(frame) if pcb == 0xE0 and len(frame) == 2 else None
        if pcb & 0xEE == 0x02:
            return self._information(pcb, frame[1:])
        if pcb & 0xEE == 0xA2 and len(frame) == 1:
            return self._receipt(pcb)
        if pcb == 0xC2 and len(frame) == 1:
            self.power_off()
            return frame
        return None

    def _activate(self, rats: bytes) -> bytes | None:
        fsdi, cid = rats[1] >> 4, rats[1] & 0x0F
        if cid == 15:
            return None
        self.power_off()
        self._reset()
        self._active = True
        self._piece = FRAME_SIZES[min(fsdi, len(FRAME_SIZES) - 1)] - FRAME_OVERHEAD
        return self._ats

    def _information(self, pcb: int, data: bytes) -> bytes | None:
        self._number ^= 1
        self._command += data
        self._answer = b""
        if len(self._command) > LONGEST_APDU:
            self.power_off()
            return None
        if pcb & _CHAINING:
            return self._send(bytes([0xA2 | self._number]))
        command, self._command = self._command, b""
        answer = self._exchange(command)
        if answer is None:
            self._last = None
            return None
        self._answer = answer
        return self._next_piece()

    def _receipt(self, pcb: int) -> bytes | None:
        ours, negative = pcb & 1 == self._number, pcb & 0x10
        if ours:
            return self._last
        if negative:
            return bytes([0xA2 | self._number])
        if not self._answer:
            return None
        self._number ^= 1
        return self._next_piece()

    def _next_piece(self) -> bytes:
        piece, self._answer = self._answer[: self._piece], self._answer[self._piece :]
        more = _CHAINING if self._answer else 0
        return self._send(bytes([0x02 | more | self._number]) + piece)

    def _send(self, block: bytes) -> bytes:
        self._last = block
        return block
