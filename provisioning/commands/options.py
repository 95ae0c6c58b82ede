"""Options that several commands take, and what they mean."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer

import drivers.readers
from drivers.reader import ReaderKind
from protocol.plugins import discover
from provisioning.cloud_api import CloudApi

# At most twelve digits: far more than any purse holds, and no work for a slip of the hand.
_AMOUNT = r"[0-9]{1,12}"

READERS = discover(drivers.readers, "READER", ReaderKind)

Chosen = TypeVar("Chosen")


def _is_url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise typer.BadParameter(f"'{text}' does not begin with https:// or http://")
    return text


AuthorityFolder = Annotated[
    Path, typer.Option("--authority", help="Folder of the authority (authority init).")
]
CloudUrl = Annotated[
    str, typer.Option("--cloud", help="The cloud, like https://cloud.example.", callback=_is_url)
]
TokenFile = Annotated[
    Path, typer.Option("--token-file", help="File with an API token of role provisioner.")
]
BrokerPlace = Annotated[str, typer.Option("--broker", help="The MQTT broker: HOST:PORT.")]
ReaderName = Annotated[
    str,
    typer.Option(
        help="pcsc[=PART OF A NAME], nfc=usb or nfc=tty:/dev/NAME.", metavar="KIND[=PATH]"
    ),
]


def now() -> datetime:
    """The time, of which everything below is told."""
    return datetime.now(UTC)


def chosen(kinds: dict[str, Chosen], name: str) -> Chosen:
    """Return the kind of that name, or say which there are."""
    if name not in kinds:
        raise typer.BadParameter(f"{name} is not one of {', '.join(kinds)}")
    return kinds[name]


def reader(text: str) -> tuple[str, str]:
    """Kind and path of a reader."""
    kind, _, path = text.partition("=")
    return chosen(READERS, kind).name, path


def host_and_port(text: str) -> tuple[str, int]:
    """The two parts of HOST:PORT."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise typer.BadParameter("--broker is HOST:PORT")
    return host, int(port)


def minor_units(text: str) -> int:
    """An amount of money as it is typed: digits alone, so that nobody takes 50.00 for fifty."""
    if re.fullmatch(_AMOUNT, text) is None or int(text) == 0:
        raise typer.BadParameter(
            f"'{text}' is not in minor units: 5000 is 50.00; digits alone, more than 0"
        )
    return int(text)


def text_in(file: Path) -> str:
    """What a file that somebody named says, without the white space around it."""
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise typer.BadParameter(f"{file} cannot be read: {reason}") from error


def cloud_api(url: str, token_file: Path) -> CloudApi:
    """The cloud's API, with the token in a file."""
    token = text_in(token_file)
    if not (token and token.isascii() and token.isprintable()):
        raise typer.BadParameter(f"{token_file} does not hold a token, and nothing else")
    return CloudApi(url, token)
