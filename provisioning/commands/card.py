"""The command of member cards: personalise."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from drivers.reader import ReaderSettings
from protocol.card_keys import AES_128_BYTES
from provisioning.authority import Authority
from provisioning.cards import CardDesk
from provisioning.commands.options import (
    READERS,
    AuthorityFolder,
    CloudUrl,
    ReaderName,
    TokenFile,
    cloud_api,
)
from provisioning.commands.options import reader as reader_of

_MS_A_DAY = 86_400_000

app = typer.Typer(no_args_is_help=True, help="Member cards.")


@app.callback()
def _card() -> None:
    """Keeps ``personalise`` a word of its own: an app of one command has none."""


@app.command("personalise")
def personalise(
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
    kind, path = reader_of(reader)
    transport_key = _key_in(transport_key_file)
    api = cloud_api(cloud, token_file)
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


def _key_in(file: Path) -> bytes:
    try:
        key = bytes.fromhex(file.read_text())
    except ValueError:
        key = b""
    if len(key) != AES_128_BYTES:
        raise typer.BadParameter(f"{file} must hold {2 * AES_128_BYTES} hex characters")
    return key
