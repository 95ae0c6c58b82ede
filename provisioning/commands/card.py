"""The commands of member cards: personalise, register, load, show, and issue one to a phone."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from drivers.purse import Fate
from drivers.reader import ReaderSettings
from protocol.card_keys import AES_128_BYTES, SITE_SLOTS, SiteKey, TransportKey
from provisioning.authority import Authority
from provisioning.cards import FAMILIES, NO_TRANSPORT_KEY, CardDesk
from provisioning.cloud_api import CloudApi
from provisioning.commands.options import (
    READERS,
    AuthorityFolder,
    CloudUrl,
    ReaderName,
    TokenFile,
    chosen,
    cloud_api,
    minor_units,
    text_in,
)
from provisioning.commands.options import reader as reader_of
from provisioning.loads import Loads
from provisioning.phones import issue_phone, register_phone

# The page of the cloud that a tag's own message leads a phone to.
_TAG_PAGE = "/v1/sun"
_S_A_DAY = 86_400

app = typer.Typer(no_args_is_help=True, help="Member cards.")

Member = Annotated[str, typer.Option(help="Id of the member it is for.")]
CardType = Annotated[str, typer.Option(help="Type under which the card is registered.")]
Site = Annotated[
    str,
    typer.Option(help="Site that shall know the card; all known sites without, where a card may."),
]
VirtualReaders = Annotated[
    bool, typer.Option("--allow-virtual", help="Also readers in software, for trying it out.")
]


@app.command("personalise")
def personalise(
    member: Member,
    authority: AuthorityFolder,
    cloud: CloudUrl,
    token_file: TokenFile,
    family: Annotated[str, typer.Option(help=f"One of {', '.join(FAMILIES)}.")] = "cpu",
    transport_key_file: Annotated[
        Path | None,
        typer.Option(
            help="File with the delivery's transport key, 32 hex characters; a desfire card opens "
            "without one if it is as the factory makes it."
        ),
    ] = None,
    site: Site = "",
    reader: ReaderName = "pcsc",
    card_type: CardType = "member",
    lrp: Annotated[
        bool,
        typer.Option(
            "--lrp", help="An ntag424 leaves AES for LRP mode. Nothing ever takes it back."
        ),
    ] = False,
    allow_virtual: VirtualReaders = False,
) -> None:
    """Make a blank card a member's: write it, read it back as a terminal does, register it.

    A card that was taken away too early is presented once more with the same command.
    """
    kind = chosen(FAMILIES, family)
    if kind.transport and transport_key_file is None:
        raise typer.BadParameter(f"cards of family {family} need --transport-key-file")
    if lrp and not kind.lrp:
        raise typer.BadParameter(f"cards of family {family} have no LRP mode")
    transport = _key_in(transport_key_file) if transport_key_file else NO_TRANSPORT_KEY
    api = cloud_api(cloud, token_file)
    try:
        with _desk(authority, site, reader, allow_virtual, api, _page(cloud), transport) as desk:
            if lrp:
                print("--lrp is for good: this tag will never speak AES again, here or elsewhere.")
            print("Put the blank card on the reader.")
            reference = desk.personalise(family, member, card_type=card_type, lrp=lrp)
    finally:
        api.close()
    print(f"The card is {member}'s. Its reference in records is {reference.hex()}.")


@app.command("register")
def register(
    member: Member,
    authority: AuthorityFolder,
    cloud: CloudUrl,
    token_file: TokenFile,
    reader: ReaderName = "pcsc",
    card_type: CardType = "member",
    allow_virtual: VirtualReaders = False,
) -> None:
    """Register a card that is only a number for a member: it earns, and never pays."""
    api = cloud_api(cloud, token_file)
    try:
        with _desk(authority, "", reader, allow_virtual, api) as desk:
            print("Put the card on the reader.")
            identity = desk.register(member, card_type=card_type)
    finally:
        api.close()
    print(f"The {identity.family} card is {member}'s: {identity.reference.hex()}. It only earns.")


@app.command("load")
def load(
    amount: Annotated[
        int,
        typer.Option(
            parser=minor_units, metavar="MINOR UNITS", help="Digits alone: 5000 is 50.00."
        ),
    ],
    authority: AuthorityFolder,
    reader: ReaderName = "pcsc",
    allow_virtual: VirtualReaders = False,
) -> None:
    """Put money on the purse of a desfire or pboc_purse card, once.

    Torn away, the same card is presented with the same command: it finds out what happened.
    """
    with _desk(authority, "", reader, allow_virtual) as desk:
        print("Put the card on the reader.")
        loaded = desk.load(amount)
    holds = f"the card holds {loaded.balance / 100:.2f}."
    if loaded.earlier is Fate.MOVED:
        print(f"An earlier load had arrived: nothing more was put on; {holds}")
        return
    if loaded.earlier is Fate.NOT_MOVED:
        print("An earlier load had not arrived.")
    print(f"{amount / 100:.2f} put on; {holds}")


@app.command("show")
def show(
    authority: AuthorityFolder,
    reader: ReaderName = "pcsc",
    allow_virtual: VirtualReaders = False,
) -> None:
    """Read a card back as a terminal does: family, class, reference, counter, balance."""
    with _desk(authority, "", reader, allow_virtual) as desk:
        print("Put the card on the reader.")
        found = desk.show()
    identity = found.identity
    print(f"family     {identity.family}")
    print(f"class      {identity.assurance.name.lower()}")
    print(f"reference  {identity.reference.hex()}")
    if found.site is not None:
        print(f"site       {found.site.site}")
    if identity.counter is not None:
        print(f"counter    {identity.counter}")
    if identity.balance_before is not None:
        print(f"balance    {identity.balance_before / 100:.2f}")


@app.command("phone")
def phone(
    file: Annotated[Path, typer.Argument(help="New file for the phone: .png, or text.")],
    public_key: Annotated[str, typer.Option(help="The phone's public key, 66 hex characters.")],
    member: Member,
    authority: AuthorityFolder,
    cloud: CloudUrl,
    token_file: TokenFile,
    card_type: CardType = "member",
) -> None:
    """Issue a member's card to a phone (family qr_credential), which keeps its own key."""
    mine = Authority(authority)
    if not file.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {file.parent}")
    try:
        key = bytes.fromhex(public_key)
    except ValueError as error:
        raise typer.BadParameter("--public-key is in hex") from error
    issued = issue_phone(mine.cards, mine.tenant, key, int(time.time()) // _S_A_DAY, os.urandom)
    api = cloud_api(cloud, token_file)
    try:
        register_phone(issued, member, card_type, api)
    finally:
        api.close()
    issued.write(file)
    print(f"The phone's card is {member}'s: {issued.reference.hex()}. It reads {file} once.")


@contextmanager
def _desk(
    authority: Path,
    site: str,
    reader: str,
    allow_virtual: bool,
    cloud: CloudApi | None = None,
    page: str = "",
    transport: TransportKey = NO_TRANSPORT_KEY,
) -> Iterator[CardDesk]:
    mine = Authority(authority)
    kind, path = reader_of(reader)
    opened = READERS[kind].open(ReaderSettings(path=path, allow_virtual=allow_virtual))
    try:
        yield CardDesk(
            reader=opened,
            tenant=mine.tenant,
            keys=mine.cards,
            sites=_sites(mine, site),
            loads=Loads(mine.folder / "loads"),
            cloud=cloud,
            page=page,
            wall_s=lambda: int(time.time()),
            draw=os.urandom,
            now=time.monotonic,
            transport=transport,
        )
    finally:
        opened.close()


def _sites(authority: Authority, name: str) -> tuple[SiteKey, ...]:
    if not name:
        return authority.site_keys()
    known = authority.site_keys()
    named = tuple(key for key in known if key.site == name)
    if not named and len(known) == SITE_SLOTS:
        raise typer.BadParameter(f"cards have no place left for a key of {name}")
    if not named:
        places = ", ".join(key.site for key in known) or "none"
        raise typer.BadParameter(
            f"site {name} has no place on cards: `terminal enrol` its first terminal, "
            f"or name one that has ({places})"
        )
    return named


def _page(cloud: str) -> str:
    place = urlsplit(cloud)
    return place.netloc + place.path.rstrip("/") + _TAG_PAGE


def _key_in(file: Path) -> TransportKey:
    try:
        key = bytes.fromhex(text_in(file))
    except ValueError:
        key = b""
    if len(key) != AES_128_BYTES:
        raise typer.BadParameter(f"{file} must hold {2 * AES_128_BYTES} hex characters")
    return TransportKey(key)
