"""The command of a broker: write its files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from provisioning.authority import LOOPBACK_NAMES, Authority
from provisioning.brokers import BROKERS
from provisioning.brokers.port import BrokerSettings
from provisioning.commands.options import AuthorityFolder, chosen, now

app = typer.Typer(no_args_is_help=True, help="The MQTT broker's files.")
BrokerName = Annotated[str, typer.Option("--broker", help="nats or mosquitto.")]


@app.callback()
def _broker() -> None:
    """Keeps ``configure`` a word of its own: an app of one command has none."""


@app.command("configure")
def configure(
    folder: Annotated[Path, typer.Argument(help="Folder for configuration and messages.")],
    authority: AuthorityFolder,
    name: Annotated[list[str], typer.Option(help="Host name or address of the broker.")],
    broker: BrokerName = "nats",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8883,
) -> None:
    """Write a broker's files for every terminal on the list, and print how to start it.

    After enrolling or withdrawing a terminal: run it again and reload the broker (SIGHUP). Its own
    certificate is good for a year, and new each time.
    """
    mine = Authority(authority)
    settings = BrokerSettings(
        folder=folder.absolute(),
        host=host,
        port=port,
        server=mine.server([*name, *LOOPBACK_NAMES], now()),
        tenant=mine.tenant,
        terminals=mine.terminals(),
    )
    print(" ".join(chosen(BROKERS, broker).configure(settings)))
