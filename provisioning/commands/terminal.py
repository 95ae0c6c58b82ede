"""The commands of terminals: enrol, list, renew, a new epoch, a site's key, withdraw."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from protocol.topics import address
from provisioning import renewal
from provisioning.authority import Authority
from provisioning.certificate import address_of, renewed_from
from provisioning.commands.options import (
    AuthorityFolder,
    BrokerPlace,
    CloudUrl,
    ReaderName,
    TokenFile,
    cloud_api,
    host_and_port,
    now,
)
from provisioning.commands.options import reader as reader_of
from provisioning.enrol import Surroundings
from provisioning.enrol import enrol as enrol_terminal

app = typer.Typer(no_args_is_help=True, help="Terminals of a site.")
TerminalFolder = Annotated[Path, typer.Argument(help="The terminal's folder: /etc/tapledger.")]


@app.command("enrol")
def enrol(
    folder: Annotated[Path, typer.Argument(help="New folder of the terminal.")],
    at: Annotated[str, typer.Option(help="Where it stands: SITE/TERMINAL, site-1/t-0001.")],
    authority: AuthorityFolder,
    cloud: CloudUrl,
    token_file: TokenFile,
    broker: BrokerPlace,
    reader: ReaderName = "pcsc",
    scanner: Annotated[
        str,
        typer.Option(
            help="A second reader, for codes on phones: scanner=/dev/NAME.", metavar="KIND=PATH"
        ),
    ] = "",
    http_port: Annotated[int, typer.Option(help="Port of its pages and till API.")] = 8100,
    data_dir: Annotated[
        str, typer.Option(help="Where it keeps its journal.")
    ] = "/var/lib/tapledger",
) -> None:
    """Make a folder a terminal: keys, certificate, registration with the cloud, edge.toml.

    Interrupted, it is run again within a day: it goes on with the keys that it made.
    """
    mine = Authority(authority)
    site, _, terminal = at.partition("/")
    host, port = host_and_port(broker)
    kind, path = reader_of(reader)
    second, second_path = reader_of(scanner) if scanner else ("", "")
    around = Surroundings(
        broker_host=host,
        broker_port=port,
        reader_kind=kind,
        reader_path=path,
        scanner_kind=second,
        scanner_path=second_path,
        http_port=http_port,
        data_dir=data_dir,
    )
    place = address(mine.tenant, site, terminal)
    api = cloud_api(cloud, token_file)
    try:
        config = enrol_terminal(folder, place, around, mine, api, now())
    finally:
        api.close()
    print(f"{terminal} is enrolled: {config}. Configure the broker again and reload it.")
    if mine.site_key(site) is None:
        print(f"Cards have no place left for a key of {site}: cpu cards and codes work there.")


@app.command("list")
def listing(authority: AuthorityFolder) -> None:
    """List the terminals that may speak at the broker, and until when."""
    table = Table("terminal", "site", "certificate ends (UTC)", "days left", "renew from (UTC)")
    for each in Authority(authority).certificates():
        at, end = address_of(each), each.not_valid_after_utc
        days, due = (end - now()).days, renewed_from(each)
        table.add_row(at.terminal, at.site, f"{end:%Y-%m-%d}", str(days), f"{due:%Y-%m-%d}")
    Console().print(table)


@app.command("renew")
def renew(
    folder: TerminalFolder,
    authority: AuthorityFolder,
    at_once: Annotated[
        bool, typer.Option("--now", help="Also before two thirds of its life are over.")
    ] = False,
) -> None:
    """Write a new certificate, good for 90 days, for the key that the terminal has.

    A folder with a copy of its tls.pem alone will do: neither it nor the new one is a secret. The
    agent takes the new one with its next connection, without a restart.
    """
    done = renewal.renew(folder, Authority(authority), now(), at_once=at_once)
    what = "The new certificate is" if done.is_new else "Not due yet (--now renews it): it is"
    print(f"{what} good until {done.until:%Y-%m-%d %H:%M} UTC.")


@app.command("epoch")
def epoch(
    folder: TerminalFolder,
    cloud: CloudUrl,
    token_file: TokenFile,
    trusted: Annotated[
        bool,
        typer.Option(
            "--trusted",
            help="The old key was in good hands: what it still hands in is booked as before.",
        ),
    ] = False,
) -> None:
    """Give a terminal a new signing key and epoch: its journal is lost or broken, or it was cloned.

    Without --trusted, whatever the old key still hands in that gives a member something is kept
    apart for an operator. Restart the agent afterwards.
    """
    api = cloud_api(cloud, token_file)
    try:
        terminal = renewal.open_epoch(folder, api, trusted=trusted)
    finally:
        api.close()
    print(f"{terminal} has a new key and the grant for its next epoch. Restart its agent.")


@app.command("site-key")
def site_key(folder: TerminalFolder, authority: AuthorityFolder) -> None:
    """Give an enrolled terminal the key of its site, which opens cards with secret keys.

    For a terminal that was enrolled without one, or lost it. Restart the agent afterwards.
    """
    site = renewal.give_site_key(folder, Authority(authority))
    print(f"The terminal has the key of {site}. Restart its agent.")


@app.command("withdraw")
def withdraw(
    terminal: Annotated[str, typer.Argument(help="Id of the terminal.")],
    authority: AuthorityFolder,
) -> None:
    """Take a terminal off the broker's list: it can neither speak nor hear any more.

    Revoke it in the console first; while its journal is still wanted, leave it on the list.
    """
    Authority(authority).withdraw(terminal)
    print(f"{terminal} is off the list. Configure the broker again and reload it.")
