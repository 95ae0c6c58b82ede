"""JSON documents of terminals: what a caller sends, and what the API shows."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from cloud.fleet.model import Terminal
from cloud.fleet.presence import Presence, presence
from cloud.http.document import Body, Document, Level, Milliseconds, Since, from_hex
from protocol.command import Verb
from protocol.watermark import Standing

_KEY = "^([0-9a-fA-F]{64}|0[23][0-9a-fA-F]{64}|04[0-9a-fA-F]{128})$"
PublicKey = Annotated[
    bytes,
    BeforeValidator(from_hex, json_schema_input_type=Annotated[str, Field(pattern=_KEY)]),
    Field(
        description="In hex.",
        examples=["d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"],
    ),
]
_STANDING: dict[Standing, Literal["active", "drain_only", "forked"]] = {
    Standing.ACTIVE: "active",
    Standing.DRAIN_ONLY: "drain_only",
    Standing.FORKED: "forked",
}


class NewKey(Body):
    """A terminal's public key: Ed25519 (-8, 32 bytes) or P-256 (-7, SEC 1 point)."""

    algorithm: Annotated[Literal[-8, -7], Field(description="COSE algorithm.", examples=[-8])]
    public_key: PublicKey


class NewEpoch(NewKey):
    """The key of a terminal's next epoch."""

    trusted: Annotated[
        bool,
        Field(
            description="What the old key still hands in is taken as before: for a renewal. "
            "Else whatever of it gives a member something is kept apart.",
        ),
    ] = False


class NewTerminal(NewKey):
    """A terminal to enrol."""

    terminal: Level
    site: Annotated[Level, Field(examples=["site-1"])]


class Granted(Document):
    """What a terminal needs to open an epoch."""

    terminal: str
    site: str
    epoch: int
    grant: str = Field(description="The signed grant, base64.")
    cloud_keys: tuple[str, ...] = Field(description="`<COSE algorithm>:<hex public key>`")
    rules_keys: tuple[str, ...] = Field(description="As cloud_keys, for bundles.")


class TerminalDocument(Document):
    """A terminal: what the ledger has of it, and what it last said of itself."""

    terminal: str
    site: str
    standing: Literal["active", "drain_only", "forked"]
    presence: Presence
    epoch: int
    upto_seq: int = Field(description="Records of this epoch up to here are in the ledger.")
    head_hash: str = Field(description="SHA-256 of that record's signed bytes, hex.")
    quarantined: int
    last_heard_ms: Since
    queue: int = Field(description="Records that the terminal has and the ledger has not.")
    oldest_unacknowledged_ms: Since
    bundle: int = Field(description="Number of the bundle in force there; 0 = none known.")
    armed_bundles: tuple[int, ...] = Field(description="Bundles that wait for their time.")
    list_version: int
    locked: bool
    reader: str
    scanner: str = Field(description="Empty where the terminal has none.")
    printer: str = Field(description="Empty where the terminal has none.")
    agent: str
    note: str
    certificate_ends_ms: Since = Field(description="The broker lets it in until then.")
    enrolled_ms: Since
    status_every_s: int = Field(description="How often it should say how it is.")
    has_settled: bool = Field(description="Whether it confirmed what it should do.")


class Terminals(Document):
    """All terminals in the order of their ids."""

    terminals: list[TerminalDocument]


class NewDesired(Body):
    """What a terminal should do from now on."""

    status_every_s: Annotated[
        int,
        Field(ge=1, le=3_600, description="How often it says how it is.", examples=[30]),
    ]


class NewCommand(Body):
    """An order to one terminal."""

    verb: Annotated[Verb, Field(strict=False, examples=["sync_now"])]


class CommandDocument(Document):
    """A command that was signed and sent; it ends by itself."""

    id: str
    terminal: str
    verb: Verb
    not_after_ms: Milliseconds


def terminal_document(terminal: Terminal, now_ms: int) -> TerminalDocument:
    """Return what the API shows of ``terminal``."""
    status, reported = terminal.status, terminal.reported
    return TerminalDocument(
        terminal=terminal.terminal,
        site=terminal.site,
        standing=_STANDING[terminal.standing],
        presence=presence(terminal, now_ms),
        epoch=terminal.epoch,
        upto_seq=terminal.upto_seq,
        head_hash=terminal.head_hash.hex(),
        quarantined=terminal.quarantined,
        last_heard_ms=terminal.heard_ms,
        queue=terminal.queue,
        oldest_unacknowledged_ms=terminal.oldest_ms,
        bundle=status.bundle_version if status else 0,
        armed_bundles=reported.armed_versions if reported else (),
        list_version=status.list_version if status else 0,
        locked=bool(status and status.locked),
        reader=status.reader if status else "",
        scanner=status.scanner if status else "",
        printer=status.printer if status else "",
        agent=status.agent if status else "",
        note=status.note if status else "",
        certificate_ends_ms=status.certificate_ends_ms if status else 0,
        enrolled_ms=terminal.enrolled_ms,
        status_every_s=terminal.status_every_s,
        has_settled=reported is not None and reported.revision == terminal.revision,
    )
