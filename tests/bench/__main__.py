"""`run.py bench`: measures, prints, and writes its tables into docs."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

import tests.bench.rows
from protocol.plugins import discover
from tests.bench.row import HEADS, Bench, Row, Unavailable

DOCS = Path(__file__).parents[2] / "docs"
_START, _END = "<!-- bench:{} -->", "<!-- /bench:{} -->"


def main(arguments: Sequence[str]) -> int:
    """Return 0 when every bar that was measured holds, else 1."""
    benches = discover(tests.bench.rows, "BENCH", Bench)
    options = _options(arguments, sorted(benches))
    console = Console()
    measured: list[Row] = []
    for name in options.only or list(benches):
        rows = _measure(console, name, benches[name])
        measured += rows
        if rows and options.write:
            _write(name, benches[name], rows)
    _print(console, measured)
    if options.json:
        options.json.write_text(json.dumps([_plain(row) for row in measured], indent=2) + "\n")
    return 0 if all(row.holds is not False for row in measured) else 1


def _options(arguments: Sequence[str], names: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py bench", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=names, help=", ".join(names))
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows there")
    parser.add_argument(
        "--no-page", dest="write", action="store_false", help="leave the pages of docs alone"
    )
    return parser.parse_args(arguments)


def _measure(console: Console, name: str, bench: Bench) -> list[Row]:
    console.print(f"[bold]{name}[/bold]  {bench.title}  (about {bench.minutes:g} min)")
    started = time.monotonic()

    def progress(text: str) -> None:
        console.print(f"  {time.monotonic() - started:6.1f} s  {text}")

    with tempfile.TemporaryDirectory(prefix="tapledger-bench-") as folder:
        try:
            return list(bench.measure(Path(folder), progress))
        except Unavailable as missing:
            console.print(f"  [yellow]left out:[/yellow] {missing}")
            return []


def _plain(row: Row) -> dict[str, object]:
    return {
        "name": row.name,
        "value": row.value,
        "unit": row.unit,
        "bar": row.bar,
        "holds": row.holds,
        "floor": row.floor,
        "peer": row.peer,
    }


def _cells(row: Row) -> tuple[str, ...]:
    bar = "" if row.bar is None else f"{'≤' if row.at_most else '≥'} {row.bar:,g}"
    holds = {True: "yes", False: "no", None: ""}[row.holds]
    return row.name, f"{row.value:,.4g} {row.unit}", bar, holds, row.floor, row.peer


def _print(console: Console, rows: list[Row]) -> None:
    table = Table(*HEADS)
    for row in rows:
        table.add_row(*_cells(row))
    console.print(table)


def _write(name: str, bench: Bench, rows: list[Row]) -> None:
    """Replace this benchmark's section of the page, and no other."""
    table = [
        f"| {' | '.join(bench.heads)} |",
        "|---" * len(bench.heads) + "|",
        *(f"| {' | '.join(row.cells or _cells(row))} |" for row in rows),
    ]
    where = f"{platform.machine()}, Python {platform.python_version()}"
    day = datetime.now(UTC).date().isoformat()
    section = "\n".join([f"## {bench.title}", "", *table, "", f"Measured {day} on {where}."])
    start, end = _START.format(name), _END.format(name)
    block = f"{start}\n{section}\n{end}"
    path = DOCS / bench.page
    page = path.read_text()
    if start in page:
        page = page[: page.index(start)] + block + page[page.index(end) + len(end) :]
    else:
        page = f"{page.rstrip()}\n\n{block}\n"
    path.write_text(page)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
