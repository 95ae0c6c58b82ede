"""Puts a day on: town, story, verdict, and the progress that a person watches meanwhile."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from provisioning.brokers.port import BrokerKind
from provisioning.demo import readings, report
from provisioning.demo.day import Day
from provisioning.demo.plan import draw
from provisioning.demo.town import LEDGER, Town
from provisioning.demo.verdict import Story, Verdict, judge
from provisioning.errors import FolderInUse
from provisioning.vault import write_private

# What the people at the counters knew in the evening: with it a day can be judged again.
STORY = "story.msgpack"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where and how: an empty folder (None: a new temporary one), the broker, the console."""

    folder: Path | None
    broker: BrokerKind
    console: Console
    keep: bool = False


@contextmanager
def town_on(stage: Stage) -> Iterator[Town]:
    """A whole town, whose processes are gone with the block.

    Its folder stays if it was named, if it shall be kept, or if the block fails.
    """
    folder = _folder(stage.folder)
    ends = " until the end (--folder keeps them)" if stage.folder is None and not stage.keep else ""
    stage.console.print(f"State, keys and logs are in {folder}{ends}")
    town = Town(folder, stage.broker)
    try:
        with stage.console.status("the broker starts") as status:
            town.open(status.update)
        yield town
    finally:
        town.close()
    if stage.folder is None and not stage.keep:
        shutil.rmtree(folder)


def perform(town: Town, stage: Stage, taps: int, seed: int, json_file: Path | None) -> bool:
    """Run the day, show the verdict, write ``json_file``; return whether every invariant holds."""
    console = stage.console
    slow = [name for name, terminal in town.terminals.items() if terminal.slot.slow]
    with _progress(console, taps) as served:
        day = Day(town, draw(seed, taps, slow), seed, console.print, served)
        try:
            story = day.run()
        finally:
            day.close()
    write_private(town.folder / STORY, msgspec.msgpack.encode(story))
    verdict = judge_folder(town.folder)
    stages = {name: report.percentiles(times) for name, times in day.stages_ms().items()}
    measured = report.Measured(stages, day.reconnect_s, day.drain_s, seed, stage.broker.name)
    console.print(report.table(verdict, measured))
    if json_file:
        json_file.write_text(report.document(verdict, measured))
    return verdict.holds


def judge_folder(folder: Path) -> Verdict:
    """Read what a finished day left in its folder, and judge it (again)."""
    story = msgspec.msgpack.decode((folder / STORY).read_bytes(), type=Story)
    return judge(story, readings.journals(folder), readings.books(folder / LEDGER))


def _folder(wanted: Path | None) -> Path:
    if wanted is None:
        return Path(tempfile.mkdtemp(prefix="tapledger-demo-"))
    if wanted.exists() and any(wanted.iterdir()):
        raise FolderInUse(str(wanted))
    return wanted.resolve()


@contextmanager
def _progress(console: Console, taps: int) -> Iterator[Callable[[], None]]:
    """A bar that counts taps; only where somebody watches."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("taps", total=taps)
        lock = Lock()

        def served() -> None:
            with lock:
                bar.advance(task)
                if bar.tasks[task].finished:
                    bar.update(task, description="taps; the journals drain")

        yield served
