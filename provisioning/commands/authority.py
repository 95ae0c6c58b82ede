"""The commands of an authority: make it once, and what the cloud needs of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from protocol.errors import Malformed
from protocol.identifiers import check_level
from provisioning import authority as authorities
from provisioning.authority import Authority
from provisioning.cloud_folder import CloudPlace, furnish
from provisioning.commands.options import AuthorityFolder, BrokerPlace, host_and_port, now

app = typer.Typer(no_args_is_help=True, help="Keys of a tenant: make them once.")


def _is_level(text: str) -> str:
    try:
        return check_level(text)
    except Malformed as error:
        raise typer.BadParameter(error.detail) from error


@app.command("init")
def init(
    folder: Annotated[Path, typer.Argument(help="New folder for the keys.")],
    tenant: Annotated[
        str, typer.Option(help="Id of the tenant: a-z, 0-9, hyphen.", callback=_is_level)
    ],
) -> None:
    """Make a tenant's keys: certificates, issuer and masters of cards, estate key, references.

    Keep a copy of the folder in a safe: without it no terminal and no card can be added.
    """
    made = authorities.init(folder, tenant, now())
    print(f"The authority of {made.tenant} is in {made.folder}: keep a copy of it in a safe.")
    print("Next: tapledger-provision broker configure, then authority cloud (docs/install.md).")


@app.command("cloud")
def cloud(
    folder: Annotated[Path, typer.Argument(help="The cloud's folder: /etc/tapledger-cloud.")],
    authority: AuthorityFolder,
    broker: BrokerPlace,
    data_dir: Annotated[
        str, typer.Option(help="Where it keeps its ledger and keys.")
    ] = "/var/lib/tapledger-cloud",
    http_port: Annotated[int, typer.Option(help="Port of its API and console.")] = 8000,
) -> None:
    """Write the cloud's certificate for the broker, good for a year, and its cloud.toml.

    Run it again before the year is over: a cloud.toml that is there stays as it is.
    """
    host, port = host_and_port(broker)
    place = CloudPlace(data_dir=data_dir, broker_host=host, broker_port=port, http_port=http_port)
    print(furnish(folder, place, Authority(authority), now()))
