"""What a phone's code costs the terminal, from the scanner's text to the identity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from drivers.card import CodeTrust
from drivers.cards.qr_credential import identify
from drivers.reader import Presented, Technology
from protocol.qr_credential import Shown
from tests.bench.row import Bench, Progress, Row, median
from tests.drivers.world import NONCE, TRUST
from tests.protocol.phone import NOW_S, code

CODES = 1_000
BAR_MS = 2.0


def measure(_folder: Path, progress: Progress) -> Sequence[Row]:
    """Median of CODES codes, each shown for the first time to a terminal that knows none."""
    progress("codes")
    taken = code_ms(code(), CODES)
    return [
        Row(
            name="QR credential, verified on the terminal",
            value=median(taken),
            unit="ms",
            bar=BAR_MS,
        )
    ]


def code_ms(text: str, times: int) -> list[float]:
    """Milliseconds in which a code is verified, by a terminal that knows none each time."""
    presented = Presented("scanner", b"", technology=Technology.QR, text=text)
    taken = list[float]()
    for _ in range(times):
        dialogue = identify(replace(TRUST, codes=CodeTrust(NOW_S, Shown())), presented, NONCE)
        start = perf_counter()
        for _ in dialogue:
            pass
        taken.append((perf_counter() - start) * 1e3)
    return taken


BENCH = Bench("Codes on phones", 0.1, measure)
