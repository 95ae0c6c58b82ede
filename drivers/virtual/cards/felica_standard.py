"""The card's side of FeliCa Standard: it is found, and has no services without keys."""

from __future__ import annotations

POLLING, READ, WRITE = 0x00, 0x06, 0x08
NO_SERVICE = b"\xff\xa6"


class FelicaRefused(Exception):
    """Ends a command with these status flags."""

    def __init__(self, flags: bytes) -> None:
        self.flags = flags


class FelicaStandardCard:
    """A card of somebody else."""

    sel_res: int | None = None
    system, pmm = b"\x00\x03", bytes.fromhex("0120220427674EFF")

    def __init__(self, idm: bytes) -> None:
        self.uid = idm

    def reset(self) -> None:
        """Power was lost."""

    def transmit(self, frame: bytes) -> bytes | None:
        """See FrameCard; another card's IDm, another system and broken frames meet silence."""
        if len(frame) < 6 or frame[0] != len(frame):
            return None
        if frame[1] == POLLING and len(frame) == 6:
            return self._polled(frame)
        if frame[2:10] != self.uid or frame[1] not in (READ, WRITE) or len(frame) < 16:
            return None
        try:
            body = b"\x00\x00" + self._run(frame[1], frame[10:])
        except FelicaRefused as refused:
            body = refused.flags
        return bytes((2 + len(self.uid) + len(body), frame[1] + 1)) + self.uid + body

    def _polled(self, frame: bytes) -> bytes | None:
        wanted = zip(frame[2:4], self.system, strict=True)
        if any(asked not in (0xFF, own) for asked, own in wanted):
            return None
        answer = b"\x01" + self.uid + self.pmm + (self.system if frame[4] == 1 else b"")
        return bytes((1 + len(answer),)) + answer

    def _run(self, code: int, request: bytes) -> bytes:
        del code, request
        raise FelicaRefused(NO_SERVICE)
