"""One tap through the real stack: software card, PN532 on a pty, agent process, journal on disk.

The card answers without modelled latency, so this is the terminal's own share.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from provisioning.brokers import BROKERS
from provisioning.demo.counter import Counter
from provisioning.demo.opening import open_shop
from provisioning.demo.plan import EARN_ONLY, MEMBER_CARDS, PHONE
from provisioning.demo.town import Town
from provisioning.processes import wait_until
from tests.bench.row import Bench, Progress, Row, median, quantile

TAPS, WARM_UP = 400, 40
P50_MS, P99_MS = 8.0, 25.0
STAGES = {
    "identify": "card present → card proved (select, read, sign, verify)",
    "decide": "priced and decided",
    "record": "chained, signed, on disk",
    "show": "answer handed to the screen",
}


def measure(folder: Path, progress: Progress) -> Sequence[Row]:
    """Taps one after the other at one terminal; the others stand idle."""
    town = Town(folder / "town", BROKERS["nats"])
    try:
        town.open(progress)
        open_shop(town)
        name, terminal = next(iter(town.terminals.items()))
        counter = Counter(terminal, town.cards)
        wait_until(lambda: counter.is_online() and counter.is_ready(), 30, "the terminal")
        cards = _cards(name)
        for number in range(TAPS + WARM_UP):
            if number == WARM_UP:
                counter.book.stages_ms.clear()
            if number % 100 == 0:
                progress(f"tap {number} of {TAPS + WARM_UP}")
            order = {"kind": "top_up", "amount": 1_000, "method": "cash"}
            if number % 4:
                order = {"kind": "sale", "items": [{"sku": "coffee", "quantity": 1}]}
            counter.ask(f"bench-{number}", cards[number % len(cards)], order)
        stages = counter.book.stages_ms
        counter.close()
    finally:
        town.close()
    parts = "; ".join(f"{name} {median(stages[name]):.2f} ms" for name in STAGES)
    return (
        Row(name="tap, p50", value=median(stages["tap"]), unit="ms", bar=P50_MS, floor=parts),
        Row(name="tap, p99", value=quantile(stages["tap"], 0.99), unit="ms", bar=P99_MS),
        *(
            Row(name=f"tap, {name}: {what}", value=median(stages[name]), unit="ms")
            for name, what in STAGES.items()
        ),
    )


def _cards(terminal: str) -> list[str]:
    """Members whose card can pay and lies in the reader's own field: codes and tags do not."""
    return [
        member
        for member, carried in sorted(MEMBER_CARDS.items())
        if carried.goes_to(terminal, ()) and carried.kind not in EARN_ONLY | {PHONE}
    ]


BENCH = Bench("One tap", 1, measure)
