"""The demo's two commands: a day that is judged, and the chain without its story."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from provisioning.brokers import BROKERS
from provisioning.brokers.port import BrokerKind
from provisioning.demo.opening import fill_cards, open_shop
from provisioning.demo.plan import MEMBERS
from provisioning.demo.stage import Stage, perform, town_on
from provisioning.errors import BrokenInvariant

# Each member pays in and buys at least a few times; with fewer the story has no room.
TAPS_MIN, TAPS = 5 * MEMBERS, 330
SEED = 20261122

BrokerName = Annotated[str, typer.Option("--broker", help="nats or mosquitto.")]


def demo(
    exit_: Annotated[  # noqa: FBT002 - a switch of the command line
        bool, typer.Option("--exit", help="End after the verdict instead of serving on.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the verdict to this file.")
    ] = None,
    broker: BrokerName = "nats",
    taps: Annotated[int, typer.Option(min=TAPS_MIN, help="How many taps the day has.")] = TAPS,
    seed: Annotated[int, typer.Option(help="Draws another day.")] = SEED,
    folder: Annotated[
        Path | None, typer.Option(help="Empty folder for state, keys and logs.")
    ] = None,
    keep: Annotated[  # noqa: FBT002 - a switch of the command line
        bool, typer.Option("--keep", help="Keep the folder also when everything holds.")
    ] = False,
) -> None:
    """Live a day in a small chain with everything that goes wrong, and judge it.

    Ends with status 0 only if every tap became exactly one ledger entry.
    """
    console = Console()
    stage = Stage(folder=folder, broker=_chosen(broker), console=console, keep=keep)
    console.print(f"A day in a small chain, drawn from seed {seed}.")
    with town_on(stage) as town:
        holds = perform(town, stage, taps, seed, json_file)
        console.print("Every invariant holds." if holds else "An invariant is broken.")
        if not exit_ and console.is_terminal:
            from provisioning.demo.serving import serve_on

            serve_on(town, console)
        if not holds:
            raise BrokenInvariant(str(town.folder))


def up(
    broker: BrokerName = "nats",
    folder: Annotated[
        Path | None, typer.Option(help="Empty folder for state, keys and logs.")
    ] = None,
) -> None:
    """Serve the demo's chain without its story, until Ctrl-C."""
    console = Console()
    stage = Stage(folder=folder, broker=_chosen(broker), console=console)
    with town_on(stage) as town:
        open_shop(town)
        with console.status("every member pays in, so that a visitor's first purchase succeeds"):
            fill_cards(town)
        from provisioning.demo.serving import serve_on

        serve_on(town, console)


def _chosen(name: str) -> BrokerKind:
    if name not in BROKERS:
        raise typer.BadParameter(f"{name} is not one of {', '.join(BROKERS)}")
    return BROKERS[name]
