"""The card's side of a MIFARE Classic: it is selected and says nothing before its own cipher."""

from __future__ import annotations

from dataclasses import dataclass

CLASSIC_1K, CLASSIC_4K, MINI = 0x08, 0x18, 0x09  # SAK (NXP AN10833, section 3)
NAK = b"\x04"  # 4 bits: invalid operation (MF1S50YYX_V1, 9.3)

_AUTHENTICATE = (0x60, 0x61)  # with key A, with key B; then the block


@dataclass(frozen=True, slots=True)
class MifareClassicCard:
    """A card with keys that nobody here has; its challenge is always the same."""

    uid: bytes
    sel_res: int | None = CLASSIC_1K

    def reset(self) -> None:
        """It keeps nothing."""

    def transmit(self, frame: bytes) -> bytes | None:
        """See FrameCard: a challenge to who begins to authenticate, NAK to everybody else."""
        if len(frame) == 2 and frame[0] in _AUTHENTICATE:
            return bytes(4)
        return NAK
