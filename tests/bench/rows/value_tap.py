"""A DESFire tap: our own share, measured; the whole of it on a PN532, by the latency model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.bench.family_taps import TAPS, own_ms, stack_ms, through_pn532
from tests.bench.latency import HostCommand, Latency, Split
from tests.bench.row import Bench, Progress, Row, median, quantile

TAPS_MEASURED, TAPS_MODELLED, SEED = 300, 5_000, 3
OWN_MS, WHOLE_MS = 3.0, 300.0


def measure(_folder: Path, progress: Progress) -> Sequence[Row]:
    """Medians of TAPS_MEASURED taps; and TAPS_MODELLED times what nfcpy says, drawn from SEED.

    Random are the reader's and the card's time of each exchange, within latency.toml; the bytes
    are those of a tap. Nothing is lost on the air, and no card asks for more time.
    """
    progress("own share")
    identify, whole = (
        median([own_ms(TAPS[name])[0] for _ in range(TAPS_MEASURED)])
        for name in ("desfire", "desfire:debit")
    )
    stack = median(stack_ms(TAPS["desfire"], TAPS_MEASURED))
    said = own_ms(TAPS["desfire:debit"])[1].said
    there, back = sum(len(each.said) for each in said), sum(len(each.heard) for each in said)
    progress("model")
    found, tapped = through_pn532(TAPS["desfire:debit"])
    model = Latency(SEED)
    usual, slow, ftdi = (
        _drawn(model, tapped, link) for link in ("pn532", "pn532_slow", "pn532_ftdi")
    )
    finding = [split.card + split.link + model.pause() for split in _drawn(model, found, "pn532")]
    parts = f"card {_p50_card(usual):.0f}, link {_p50_link(usual):.0f}, own {whole:.2f} ms at p50"
    return (
        Row(
            name="identify, authenticate: own share, p50",
            value=identify,
            unit="ms",
            bar=OWN_MS,
            peer=f"with nfcpy, its line, emulated chip and card: {stack:.1f} ms",
        ),
        Row(
            name="value tap: own share, p50",
            value=whole,
            unit="ms",
            floor=f"{len(said)} exchanges, {there} bytes there, {back} back",
        ),
        Row(
            name="value tap on a PN532 at 106 kbit/s, modelled, p95",
            value=quantile(_sums(usual, whole), 0.95),
            unit="ms",
            bar=WHOLE_MS,
            floor=parts,
        ),
        _informs("the same on a line of 115,200 baud, modelled, p95", slow, whole),
        _informs("the same behind FTDI's latency timer of 16 ms, modelled, p95", ftdi, whole),
        Row(name="finding the card before it, modelled, p50", value=median(finding), unit="ms"),
    )


def _drawn(model: Latency, commands: Sequence[HostCommand], link: str) -> list[Split]:
    return [model.by_pn532("desfire", commands, link) for _ in range(TAPS_MODELLED)]


def _sums(splits: Sequence[Split], own: float) -> list[float]:
    return [split.card + split.link + own for split in splits]


def _p50_card(splits: Sequence[Split]) -> float:
    return median([split.card for split in splits])


def _p50_link(splits: Sequence[Split]) -> float:
    return median([split.link for split in splits])


def _informs(name: str, splits: Sequence[Split], own: float) -> Row:
    return Row(name=name, value=quantile(_sums(splits, own), 0.95), unit="ms")


BENCH = Bench("A DESFire tap", 0.2, measure)
