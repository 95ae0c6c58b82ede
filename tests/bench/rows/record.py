"""What a wire record costs before it meets a disk: encode, sign, read, verify."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from protocol.codec import encode
from protocol.record import read, seal
from protocol.rules.evaluate import Pricing
from protocol.signing import Purpose, verify
from tests.bench.row import Bench, Progress, Row, median, seconds
from tests.protocol.rules.test_evaluate import BUNDLE
from tests.protocol.world import FIRST_HEAD, TERMINAL_KEY, run, sale

ROUNDS, CALLS = 7, 2_000


def measure(_folder: Path, progress: Progress) -> Sequence[Row]:
    """Microseconds a call, median of ROUNDS rounds."""
    record, sealed = sale(FIRST_HEAD), run(1)[0]
    signed = read(sealed.data)[1]
    pricing = Pricing(BUNDLE)
    works: dict[str, Callable[[], object]] = {
        "record, encode": lambda: encode(record),
        "record, encode and sign": lambda: seal(record, TERMINAL_KEY),
        "record, strict read": lambda: read(sealed.data),
        "record, verify": lambda: verify(signed, Purpose.RECORD, TERMINAL_KEY.verifier),
        "basket of 2 lines, 3 rules, with trace": lambda: pricing.price(
            [("coffee", 2), ("bun", 1)], "gold"
        ),
    }
    rows = []
    for name, work in works.items():
        progress(name)
        rounds = [_microseconds(work) for _ in range(ROUNDS)]
        rows.append(Row(name=name, value=median(rounds), unit="µs"))
    return rows


def _microseconds(work: Callable[[], object]) -> float:
    def calls() -> None:
        for _ in range(CALLS):
            work()

    return seconds(calls) / CALLS * 1e6


BENCH = Bench("Records", 0.1, measure)
