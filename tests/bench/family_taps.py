"""One tap of each card family, as a terminal holds it, for benches that measure or model it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from drivers.card import NONCE_BYTES, CardTrust, Dialogue, FrameDialogue
from drivers.cards import cpu, felica, file_card, ntag424, pboc_purse, ultralight
from drivers.desfire.purse import debit, open_purse
from drivers.exchange import Deadlines, hold, hold_frames
from drivers.reader import Presented, Reader, ReaderSettings, Technology
from drivers.readers import nfc
from drivers.virtual.faults import FrameCard, VirtualCard
from protocol.sun import SunMode
from tests.bench.latency import HostCommand
from tests.bench.overheard import OverheardPn532, StopwatchReader
from tests.drivers import test_felica, test_ntag424, test_ultralight
from tests.drivers.desfire_world import DESFIRE_TRUST, QUAY, intent_of, loaded_desfire
from tests.drivers.file_card_world import FILE_TRUST
from tests.drivers.file_card_world import file_card as issued_file_card
from tests.drivers.frame_world import SITE_TRUST, FrameReader
from tests.drivers.purse_world import AMOUNT, PURSE_TRUST, claim, purse_card
from tests.drivers.world import DirectReader, examiner, member_card

Card = VirtualCard | FrameCard
# A card as it lies on a reader, which has said what it is.
Tap = Callable[[Reader, Presented], object]
Identify = Callable[[CardTrust, Presented, bytes], Dialogue | FrameDialogue]


@dataclass(frozen=True, slots=True)
class FamilyTap:
    """``tap`` may be held once with what ``card`` makes; ``contacts``: protocols it has there.

    ``trust`` is a terminal's that knows such cards.
    """

    title: str
    trust: CardTrust
    card: Callable[[], Card]
    tap: Tap
    contacts: tuple[str, ...] = ()


def _hold(dialogue: Generator[Any, Any, Any], reader: Reader, presented: Presented) -> Any:
    if presented.technology is Technology.APDU:
        return hold(dialogue, reader, Deadlines(), time.monotonic, extended=False)
    return hold_frames(dialogue, reader, Deadlines(), time.monotonic)


def open_desfire(reader: Reader, presented: Presented) -> object:
    """Authenticate, and read what is in the purse."""
    return _hold(open_purse(QUAY, presented, os.urandom(NONCE_BYTES)), reader, presented)


def pay_desfire(reader: Reader, presented: Presented) -> object:
    """The same, and debit what it holds: a record, CommitReaderID and a transaction MAC."""
    purse = _hold(open_purse(QUAY, presented, os.urandom(NONCE_BYTES)), reader, presented)
    if purse.last is None or purse.balance < AMOUNT:
        return purse
    return _hold(debit(purse, intent_of(purse, amount=AMOUNT)), reader, presented)


def _pay_pboc(reader: Reader, presented: Presented) -> object:
    purse = _hold(pboc_purse.open_purse(PURSE_TRUST, os.urandom(NONCE_BYTES)), reader, presented)
    if purse.balance < AMOUNT:
        return purse
    purchase = _hold(pboc_purse.begin(purse, claim(amount=AMOUNT)), reader, presented)
    return _hold(pboc_purse.debit(purse, purchase), reader, presented)


def _identified(
    title: str,
    trust: CardTrust,
    card: Callable[[], Card],
    identify: Identify,
    contacts: tuple[str, ...] = (),
) -> FamilyTap:
    def tap(reader: Reader, presented: Presented) -> object:
        return _hold(identify(trust, presented, os.urandom(NONCE_BYTES)), reader, presented)

    return FamilyTap(title, trust, card, tap, contacts)


CONTACTS = ("t1", "t0")
# Far longer than it takes.
FOUND_S = 5.0
# By the name that their times have in latency.toml; behind a colon: another tap of the same card.
TAPS = {
    "cpu": _identified("`cpu`", SITE_TRUST, member_card, cpu.identify, CONTACTS),
    "desfire": FamilyTap("`desfire`", DESFIRE_TRUST, loaded_desfire, open_desfire),
    "desfire:debit": FamilyTap("… with a debit", DESFIRE_TRUST, loaded_desfire, pay_desfire),
    "pboc_purse": _identified(
        "`pboc_purse`", PURSE_TRUST, purse_card, pboc_purse.identify, CONTACTS
    ),
    "pboc_purse:debit": FamilyTap("… with a debit", PURSE_TRUST, purse_card, _pay_pboc, CONTACTS),
    "ntag424": _identified("`ntag424`, AES", SITE_TRUST, test_ntag424.issued, ntag424.identify),
    "ntag424_lrp": _identified(
        "`ntag424`, LRP",
        SITE_TRUST,
        lambda: test_ntag424.issued(SunMode.LRP),
        ntag424.identify,
    ),
    "file_card": _identified(
        "`file_card`", FILE_TRUST, issued_file_card, file_card.identify, CONTACTS
    ),
    "felica": _identified("`felica`, Lite-S", SITE_TRUST, test_felica.issued, felica.identify),
    "ultralight": _identified(
        "`ultralight`, AES",
        SITE_TRUST,
        lambda: test_ultralight.issued(ultralight.Chip.AES),
        ultralight.identify,
    ),
    "ultralight_c": _identified(
        "`ultralight`, C",
        SITE_TRUST,
        lambda: test_ultralight.issued(ultralight.Chip.C),
        ultralight.identify,
    ),
}


def directly(card: Card) -> tuple[StopwatchReader, Presented]:
    """The card on a reader in the same process."""
    card.reset()
    reader = FrameReader(card) if isinstance(card, FrameCard) else DirectReader(card)
    return StopwatchReader(reader), reader.presented


def examined(family: FamilyTap) -> int:
    """Exchanges with which a terminal that asks every family in turn finds this one."""
    reader, presented = directly(family.card())
    examiner(family.trust).identify(reader, presented)
    return len(reader.said)


def own_ms(family: FamilyTap) -> tuple[float, StopwatchReader]:
    """Milliseconds of one tap that are ours: all but what reader and card take."""
    reader, presented = directly(family.card())
    start = time.perf_counter()
    family.tap(reader, presented)
    return (time.perf_counter() - start - reader.away_s) * 1e3, reader


@contextmanager
def at_pn532(family: FamilyTap) -> Iterator[tuple[OverheardPn532, Reader, Presented]]:
    """The card on a PN532 that nfcpy drives; what was said to find it is still in ``said``."""
    device = OverheardPn532()
    reader = nfc.READER.open(ReaderSettings(f"tty:{device.path}"))
    try:
        device.insert(family.card())
        device.said.clear()
        presented = reader.wait_for_card(FOUND_S)
        if presented is None:
            raise RuntimeError(f"{family.title} was not found")
        yield device, reader, presented
    finally:
        reader.close()
        device.close()


def through_pn532(family: FamilyTap) -> tuple[list[HostCommand], list[HostCommand]]:
    """What nfcpy says to a PN532: to find the card, and for the tap."""
    with at_pn532(family) as (device, reader, presented):
        found = list(device.said)
        family.tap(reader, presented)
        return found, device.said[len(found) :]


def stack_ms(family: FamilyTap, taps: int) -> list[float]:
    """Milliseconds of taps through nfcpy: its line, the emulated chip and the software card too."""
    taken = list[float]()
    with at_pn532(family) as (_, reader, presented):
        for _ in range(taps):
            start = time.perf_counter()
            family.tap(reader, presented)
            taken.append((time.perf_counter() - start) * 1e3)
    return taken
