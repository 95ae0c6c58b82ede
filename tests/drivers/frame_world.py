"""What the tests of cards with site keys share: the keys, a reader of frames, transcripts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from drivers.card import CardIdentity, CardTrust, FrameDialogue
from drivers.errors import CardGone
from drivers.exchange import Deadlines, hold_frames
from drivers.reader import Presented, Reader, ReaderSettings, Technology
from drivers.readers import nfc
from drivers.virtual.faults import CardLeft, Faults, FrameCard
from drivers.virtual.pn532 import Pn532Device
from protocol.estate import EstateKey
from tests.drivers.world import NONCE, SOON_S, TRUST, examiner

ESTATE = EstateKey(bytes(range(100, 132)))
SITE = ESTATE.site_key("pier")
OTHER_SITE = ESTATE.site_key("mall")
SITE_TRUST = replace(TRUST, site=SITE)
# Sites whose keys are on one card, each in its slot.
QUAY, PIER = ESTATE.site_key("quay", 0), ESTATE.site_key("pier", 3)
TRANSCRIPTS = Path(__file__).parents[1] / "transcripts"


def draws() -> Callable[[int], bytes]:
    """A card's random numbers, the same in every run."""
    start = count(1)
    return lambda length: bytes((next(start) + at) & 0xFF for at in range(length))


@dataclass
class FrameReader:
    """A reader of frames whose card is in the same process."""

    card: FrameCard
    faults: Faults = field(default_factory=Faults)
    said: list[tuple[bytes, bytes]] = field(default_factory=list)

    @property
    def presented(self) -> Presented:
        """The card, as a real reader would present it."""
        felica = self.card.sel_res is None
        technology = Technology.FELICA if felica else Technology.TYPE_2
        sak = self.card.sel_res
        return Presented("direct", b"", self.card.uid, technology=technology, sak=sak)

    def wait_for_card(self, timeout_s: float) -> Presented | None:
        """See Reader."""
        del timeout_s
        return self.presented

    def transmit(self, command: bytes, deadline_s: float) -> bytes:
        """See Reader."""
        del deadline_s
        try:
            answer = self.faults.exchange(self.card, command)
        except CardLeft:
            raise CardGone from None
        if answer is None:
            raise CardGone("silence")
        self.said.append((command, answer))
        return answer

    def wait_for_removal(self, timeout_s: float) -> bool:
        """See Reader."""
        del timeout_s
        return True

    def close(self) -> None:
        """See Reader."""


@contextmanager
def at_pn532(card: FrameCard) -> Iterator[Reader]:
    """Nfcpy's driver for a PN532 with the card on it."""
    device = Pn532Device()
    device.insert(card)
    reader = nfc.READER.open(ReaderSettings(f"tty:{device.path}"))
    try:
        yield reader
    finally:
        reader.close()
        device.close()


def known_at_pn532(card: FrameCard, trust: CardTrust = SITE_TRUST) -> CardIdentity:
    """Who the card is, asked by every family through that driver."""
    with at_pn532(card) as reader:
        presented = reader.wait_for_card(SOON_S)
        assert presented
        return examiner(trust).identify(reader, presented)


class Changing:
    """A card of which one bit of one answer is turned, counted from the last bit."""

    def __init__(self, card: FrameCard, answer: int, bit: int) -> None:
        self._card, self._left, self._bit = card, answer, bit
        self.sel_res, self.uid, self.reset = card.sel_res, card.uid, card.reset

    def transmit(self, frame: bytes) -> bytes | None:
        """See FrameCard."""
        answer = self._card.transmit(frame)
        self._left -= 1
        if self._left != -1 or answer is None:
            return answer
        return (int.from_bytes(answer, "big") ^ 1 << self._bit).to_bytes(len(answer), "big")


def ask(
    reader: FrameReader,
    identify: Callable[[CardTrust, Presented, bytes], FrameDialogue],
    trust: CardTrust = SITE_TRUST,
) -> CardIdentity:
    """Select the card on the reader and hold the dialogue with it."""
    reader.card.reset()
    return hold_frames(
        identify(trust, reader.presented, NONCE), reader, Deadlines(), time.monotonic
    )


def transcript(title: str, said: list[tuple[bytes, bytes]], identity: CardIdentity) -> str:
    """What was said until a card was identified, as the text of a transcript file."""
    return spoken(
        said,
        title,
        f"nonce: {NONCE.hex()}",
        f"outcome: {identity.reference.hex()} {identity.assurance.name} {identity.counter}",
    )


def spoken(said: list[tuple[bytes, bytes]], *known: str) -> str:
    """Any dialogue as the text of a transcript file, under lines with what is known of it."""
    lines = [f"# {line}" for line in known]
    for command, answer in said:
        lines += [f"> {command.hex().upper()}", f"< {answer.hex().upper()}"]
    return "\n".join(lines) + "\n"


def check_transcript(name: str, text: str) -> None:
    """Compare with the file of that name; TAPLEDGER_RECORD=1 writes it instead."""
    path = TRANSCRIPTS / name
    if os.environ.get("TAPLEDGER_RECORD") == "1":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.read_text() == text
