"""The verdict for people, as a table, and for programs, as JSON with stable keys."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from statistics import quantiles
from typing import Any, NamedTuple

from rich.table import Table

from provisioning.demo.verdict import Verdict

# In the order in which a tap passes them; others follow.
STAGES = ("identify", "decide", "card", "record", "show", "tap", "customer")
_MEANING = {
    "lost": "answers or records that the ledger does not have",
    "twice": "records or orders that were posted twice",
    "unbalanced": "records whose entries do not add up to zero",
    "balances_differ": "members whose balance is not the same everywhere",
    "chain_gaps": "gaps in the chains of journals and ledger",
    "price_wrong": "sales not priced as of their own moment",
    "forks": "records kept apart, terminals stopped",
    "takings_differ": "accounts that do not add up to what the tills took",
    "purses_differ": "cards whose purse, journals and ledger do not say the same",
    "taps_unexplained": "taps without a record, or records without a tap",
}
_STAGE_MEANING = {
    "identify": "card present → card proved",
    "decide": "priced and decided",
    "card": "debited, where its purse pays",
    "record": "chained, signed, on disk",
    "show": "answer on the screen",
    "tap": "card present → approved",
    "customer": "card put down → answer at the till",
}


class Measured(NamedTuple):
    """``stages_ms``: stage -> p50 and p99 over the taps that an order waited for."""

    stages_ms: Mapping[str, tuple[float, float]]
    reconnect_s: float
    drain_s: float
    seed: int
    broker: str


def percentiles(durations: Sequence[float]) -> tuple[float, float]:
    """p50 and p99 of at least two durations."""
    cuts = quantiles(durations, n=100, method="inclusive")
    return cuts[49], cuts[98]


def table(verdict: Verdict, measured: Measured) -> Table:
    """What a person reads at the end."""
    shown = Table(
        title="Two readings: the terminals' journals and the ledger's entries", show_header=False
    )
    shown.add_column("")
    shown.add_column("", justify="right")
    shown.add_column("")
    shown.add_row("taps", str(verdict.taps), "at three counters")
    for family, taps in verdict.families.items():
        shown.add_row(f"  {family}", str(taps), "")
    shown.add_row("records", str(verdict.records), "in the journals: taps, and what terminals note")
    shown.add_row("posted", str(verdict.posted), "in the ledger")
    overdrawn = "members who spent offline, within the limits, more than they had"
    shown.add_row("overdrawn", str(verdict.overdrawn), overdrawn)
    shown.add_row("torn", str(verdict.torn), "cards that left while they paid, settled since")
    shown.add_section()
    for key, meaning in _MEANING.items():
        count = getattr(verdict, key)
        style = "bold red" if count else "green"
        shown.add_row(key, f"[{style}]{count}[/]", meaning)
    shown.add_section()
    for stage in _ordered(measured.stages_ms):
        p50, p99 = measured.stages_ms[stage]
        meaning = f"p50 / p99, {_STAGE_MEANING.get(stage, stage)}"
        shown.add_row(f"{stage} ms", f"{p50:.1f} / {p99:.1f}", meaning)
    shown.add_row("line s", f"{measured.reconnect_s:.2f}", "from the line mended to connected")
    shown.add_row("drain s", f"{measured.drain_s:.2f}", "from the line mended to all receipted")
    return shown


def document(verdict: Verdict, measured: Measured) -> str:
    """The same as JSON; keys are added, never renamed."""
    stages = {
        stage: {"p50": round(p50, 3), "p99": round(p99, 3)}
        for stage, (p50, p99) in measured.stages_ms.items()
    }
    found: dict[str, Any] = {
        **verdict._asdict(),
        "tap_ms": stages,
        "reconnect_s": round(measured.reconnect_s, 3),
        "drain_s": round(measured.drain_s, 3),
        "holds": verdict.holds,
        "seed": measured.seed,
        "broker": measured.broker,
    }
    return json.dumps(found, indent=2) + "\n"


def _ordered(stages: Mapping[str, object]) -> list[str]:
    known = [stage for stage in STAGES if stage in stages]
    return known + sorted(stages.keys() - set(STAGES))
