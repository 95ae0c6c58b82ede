"""The technician's commands: authority, broker, terminal, card; and the demo.

Everything it makes is written with mode 0600 into the folder that is named.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn, TypeVar

import typer

import drivers.readers
from drivers.keys import AES_128_BYTES
from drivers.reader import ReaderKind, ReaderSettings
from protocol.errors import ProductError
from protocol.identifiers import check_level
from protocol.plugins import discover
from protocol.topics import address
from provisioning import authority as authorities
from provisioning.authority import LOOPBACK_NAMES, Authority
from provisioning.brokers import BROKERS
from provisioning.brokers.port import BrokerSettings
from provisioning.cards import CardDesk
from provisioning.cloud_api import CloudApi
from provisioning.demo import commands as day
from provisioning.enrol import Surroundings
from provisioning.enrol import enrol as enrol_terminal

READERS = discover(drivers.readers, "READER", ReaderKind)
_MS_A_DAY = 86_400_000

Chosen = TypeVar("Chosen")

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
authority_app = typer.Typer(no_args_is_help=True, help="Keys of a tenant: make them once.")
broker_app = typer.Typer(no_args_is_help=True, help="The MQTT broker's files.")
terminal_app = typer.Typer(no_args_is_help=True, help="Terminals of a site.")
card_app = typer.Typer(no_args_is_help=True, help="Member cards.")
app.add_typer(authority_app, name="authority")
app.add_typer(broker_app, name="broker")
app.add_typer(terminal_app, name="terminal")
app.add_typer(card_app, name="card")

AuthorityFolder = Annotated[
    Path, typer.Option("--authority", help="Folder of the authority (authority init).")
]
CloudUrl = Annotated[str, typer.Option("--cloud", help="The cloud, like https://cloud.example.")]
TokenFile = Annotated[
    Path, typer.Option("--token-file", help="File with an API token of role provisioner.")
]
BrokerName = Annotated[str, typer.Option("--broker", help="nats or mosquitto.")]
ReaderName = Annotated[
    str,
    typer.Option(
        help="pcsc[=PART OF A NAME], nfc=usb or nfc=tty:/dev/NAME.", metavar="KIND[=PATH]"
    ),
]


@authority_app.command("init")
def authority_init(
    folder: Annotated[Path, typer.Argument(help="New folder for the keys.")],
    tenant: Annotated[str, typer.Option(help="Id of the tenant: a-z, 0-9, hyphen.")],
) -> None:
    """Make a tenant's keys: certificates, card issuer, card admin master, references.

    Keep a copy of the folder in a safe: without it no terminal and no card can be added.
    """
    made = authorities.init(folder, check_level(tenant), _now())
    print(f"The authority of {made.tenant} is in {made.folder}.")


@broker_app.command("configure")
def broker_configure(
    folder: Annotated[Path, typer.Argument(help="Folder for configuration and messages.")],
    authority: AuthorityFolder,
    name: Annotated[list[str], typer.Option(help="Host name or address of the broker.")],
    broker: BrokerName = "nats",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8883,
) -> None:
    """Write a broker's files for every terminal that is enrolled, and print how to start it.

    After enrolling another terminal: run it again and send the broker SIGHUP.
    """
    mine = Authority(authority)
    settings = BrokerSettings(
        folder=folder,
        host=host,
        port=port,
        server=mine.server([*name, *LOOPBACK_NAMES], _now()),
        tenant=mine.tenant,
        terminals=mine.terminals(),
    )
    print(" ".join(_chosen(BROKERS, broker).configure(settings)))


@authority_app.command("cloud")
def authority_cloud(authority: AuthorityFolder) -> None:
    """Make the cloud's client certificate for the broker; good for a year."""
    identity = Authority(authority).cloud(_now())
    print(f"ca = {identity.ca}\ncertificate = {identity.certificate}\nkey = {identity.key}")


@terminal_app.command("enrol")
def terminal_enrol(
    folder: Annotated[Path, typer.Argument(help="New folder of the terminal.")],
    at: Annotated[str, typer.Option(help="Where it stands: SITE/TERMINAL, site-1/t-0001.")],
    authority: AuthorityFolder,
    cloud: CloudUrl,
    token_file: TokenFile,
    broker: Annotated[str, typer.Option(help="The MQTT broker: HOST:PORT.")],
    reader: ReaderName = "pcsc",
    http_port: Annotated[int, typer.Option(help="Port of its pages and till API.")] = 8100,
) -> None:
    """Make a folder a terminal: keys, certificate, registration with the cloud, edge.toml."""
    mine = Authority(authority)
    site, _, terminal = at.partition("/")
    host, _, port = broker.rpartition(":")
    if not port.isdigit():
        raise typer.BadParameter("--broker is HOST:PORT")
    kind, path = _reader(reader)
    around = Surroundings(
        broker_host=host,
        broker_port=int(port),
        reader_kind=kind,
        reader_path=path,
        http_port=http_port,
    )
    place = address(mine.tenant, site, terminal)
    api = _api(cloud, token_file)
    try:
        config = enrol_terminal(folder, place, around, mine, api, _now())
    finally:
        api.close()
    print(f"{terminal} is enrolled. Configure the broker again, then:")
    print(f"  tapledger-edge --config {config}")


@card_app.command("personalise")
def card_personalise(
    member: Annotated[str, typer.Option(help="Id of the member it is for.")],
    authority: AuthorityFolder,
    cloud: CloudUrl,
    token_file: TokenFile,
    transport_key_file: Annotated[
        Path, typer.Option(help="File with the delivery's transport key, 32 hex characters.")
    ],
    reader: ReaderName = "pcsc",
    card_type: Annotated[str, typer.Option(help="Type that the card's credential names.")] = (
        "member"
    ),
) -> None:
    """Make a blank CPU card a member's: key pair on the card, credential, own admin key.

    A card that was taken away too early is presented once more with the same command.
    """
    mine = Authority(authority)
    kind, path = _reader(reader)
    transport_key = _key_in(transport_key_file)
    api = _api(cloud, token_file)
    opened = READERS[kind].open(ReaderSettings(path=path))
    try:
        desk = CardDesk(
            reader=opened,
            tenant=mine.tenant,
            keys=mine.cards,
            transport_key=transport_key,
            cloud=api,
            day=time.time_ns() // 1_000_000 // _MS_A_DAY,
            draw=os.urandom,
            now=time.monotonic,
        )
        print("Put the blank card on the reader.")
        reference = desk.personalise(member, card_type=card_type)
    finally:
        opened.close()
        api.close()
    print(f"The card is {member}'s. Its reference in records is {reference.hex()}.")


app.command("demo")(day.demo)
app.command("up")(day.up)


def _now() -> datetime:
    return datetime.now(UTC)


def _chosen(kinds: dict[str, Chosen], name: str) -> Chosen:
    if name not in kinds:
        raise typer.BadParameter(f"{name} is not one of {', '.join(kinds)}")
    return kinds[name]


def _reader(text: str) -> tuple[str, str]:
    kind, _, path = text.partition("=")
    return _chosen(READERS, kind).name, path


def _api(url: str, token_file: Path) -> CloudApi:
    return CloudApi(url, token_file.read_text().strip())


def _key_in(file: Path) -> bytes:
    try:
        key = bytes.fromhex(file.read_text())
    except ValueError:
        key = b""
    if len(key) != AES_128_BYTES:
        raise typer.BadParameter(f"{file} must hold {2 * AES_128_BYTES} hex characters")
    return key


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command; a person sees a product error as one line, with its code."""
    signal.signal(signal.SIGTERM, _interrupt)  # whoever ends us, our children end too
    try:
        app()
    except ProductError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
