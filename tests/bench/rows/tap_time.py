"""How long a tap takes with each card family, split into card, link and our own share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tests.bench.family_taps import TAPS, FamilyTap, examined, own_ms, through_pn532
from tests.bench.latency import Latency, Split
from tests.bench.row import Bench, Progress, Row, median, quantile
from tests.bench.rows.code import code_ms
from tests.protocol import phone

TAPS_MEASURED, TAPS_MODELLED, SEED = 40, 2_000, 5


def measure(_folder: Path, progress: Progress) -> Sequence[Row]:
    """Our own share measured; what the family says, on links and cards of the latency model."""
    model = Latency(SEED)
    rows = []
    for name, family in TAPS.items():
        progress(name)
        rows.append(_row(name, family, model))
    return [*rows, _code_row()]


def _code_row() -> Row:
    """A code on a phone is read before it is ours, and nothing is said to it."""
    shown = phone.code()
    own = median(code_ms(shown, TAPS_MEASURED))
    none = "–"
    figure = f"{own:.2g}"
    cells = ("`qr_credential`", "0", none, str(len(shown)), none, none, figure, f"**{figure}**")
    name = "tap, `qr_credential`: own share, p50"
    return Row(name=name, value=own, unit="ms", cells=(*cells, none, none, none, none))


def _row(name: str, family: FamilyTap, model: Latency) -> Row:
    card = name.partition(":")[0]
    taps = [own_ms(family) for _ in range(TAPS_MEASURED)]
    own, said = median([tap[0] for tap in taps]), taps[0][1].said
    _, commands = through_pn532(family)
    through = _drawn(partial(model.by_pn532, card, commands))
    sums = [split.card + split.link + own for split in through]
    others = {"ccid": _whole(partial(model.by_ccid, card, said), own)}
    for protocol in family.contacts:
        others[protocol] = _whole(partial(model.by_contacts, card, said, protocol), own)
    cells = (
        family.title,
        str(len(said)),
        str(examined(TAPS[card]) - len(own_ms(TAPS[card])[1].said)),
        f"{sum(len(each.said) + len(each.heard) for each in said)}",
        f"{median([split.card for split in through]):.0f}",
        f"{median([split.link for split in through]):.0f}",
        f"{own:.2g}",
        f"**{median(sums):.0f}**",
        f"{quantile(sums, 0.95):.0f}",
        *(others.get(link, "–") for link in ("ccid", "t1", "t0")),
    )
    return Row(
        name=f"tap, {name}, modelled on a PN532, p95",
        value=quantile(sums, 0.95),
        unit="ms",
        floor=f"own share {own:.2g} ms",
        cells=cells,
    )


def _drawn(draw: Callable[[], Split]) -> list[Split]:
    return [draw() for _ in range(TAPS_MODELLED)]


def _whole(draw: Callable[[], Split], own: float) -> str:
    """The median of all that a tap takes, in ms."""
    return f"{median([split.card + split.link + own for split in _drawn(draw)]):.0f}"


BENCH = Bench(
    "Tap time",
    0.5,
    measure,
    page="cards.md",
    heads=(
        "family",
        "exchanges",
        "others first",
        "bytes",
        "card",
        "link",
        "own share",
        "**whole, p50**",
        "p95",
        "USB, p50",
        "T=1, p50",
        "T=0, p50",
    ),
)
