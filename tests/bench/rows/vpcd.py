"""One APDU to a software card behind the real pcscd, and to vsmartcard's own card beside it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import run
from drivers.reader import Reader, ReaderSettings
from drivers.readers.pcsc import READER
from drivers.virtual.pcscd import Pcscd, may_run, running_pcscd
from drivers.virtual.vpcd import VpcdCarrier
from tests.bench.row import Bench, Progress, Row, Unavailable, median
from tests.drivers.world import SOON_S, member_card
from tests.services.vicc import running_vicc

ROUNDS, APDUS, PEER_APDUS = 5, 400, 10
BAR_MS = 0.3
# Refused by either card at once, so that nothing of a card's own work is in it.
ABSENT = bytes.fromhex("00A4040005F000000001")
DEADLINE_S = 5.0


def measure(_folder: Path, progress: Progress) -> Sequence[Row]:
    """Median of ROUNDS medians: our reader with its thread, pyscard, pcscd, TCP and the card."""
    if not may_run():
        raise Unavailable("pcscd, vsmartcard-vpcd or pyscard")
    with running_pcscd() as pcscd, ExitStack() as stack:
        os.environ["PCSCLITE_CSOCK_NAME"] = str(pcscd.socket_path)
        slot = stack.enter_context(closing(VpcdCarrier("127.0.0.1", pcscd.ports[0])))
        slot.insert(member_card())
        ours, peers = list[float](), list[float]()
        with closing(_card_in(Pcscd.readers[0])) as reader:
            for number in range(ROUNDS):
                progress(f"round {number + 1} of {ROUNDS}")
                ours.append(_apdu_ms(reader, APDUS))
        slot.remove()
        if "vicc" not in run.missing_system_packages():
            progress("vicc")
            stack.enter_context(running_vicc(pcscd.ports[1]))
            with closing(_card_in(Pcscd.readers[1])) as reader:
                peers.append(_apdu_ms(reader, PEER_APDUS))
    peer = f"vicc on the same pcscd: {median(peers):.1f} ms" if peers else "vicc is not installed"
    return [Row(name="one APDU, p50", value=median(ours), unit="ms", bar=BAR_MS, peer=peer)]


def _card_in(slot: str) -> Reader:
    reader = READER.open(ReaderSettings(path=slot, allow_virtual=True))
    end = time.monotonic() + SOON_S
    while reader.wait_for_card(0.5) is None:
        if time.monotonic() > end:
            raise Unavailable(f"no card came into {slot}")
    return reader


def _apdu_ms(reader: Reader, count: int) -> float:
    taken = list[float]()
    for _ in range(count):
        start = time.perf_counter()
        reader.transmit(ABSENT, DEADLINE_S)
        taken.append((time.perf_counter() - start) * 1e3)
    return median(taken)


BENCH = Bench("A virtual PC/SC card", 0.2, measure)
