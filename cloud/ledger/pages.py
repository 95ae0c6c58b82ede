"""Console pages of the ledger: find records, one record with its proof, quarantine, overview."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import Connection

from cloud.console.overview import Panel
from cloud.console.sheet import sheet
from cloud.console.shell import Place, Shell, Whole
from cloud.http.document import TerminalPath
from cloud.http.identity import CONSOLE_PATH, Permission
from cloud.ledger import search
from cloud.ledger.api import KINDS
from cloud.ledger.documents import NOTE_MAX, Note, decoded
from cloud.ledger.figures import figures, sales_by_site
from cloud.ledger.judgement import take
from cloud.ledger.proof import Proof, proof, quarantined
from cloud.storage.rows import FORK, Settlement
from protocol.record import Kind, record_hash
from protocol.signing import key_id

PATH = f"{CONSOLE_PATH}/records"
QUARANTINE_PATH = f"{CONSOLE_PATH}/quarantine"
PLACE = Place("records", "Records", PATH, "records", Permission.BOOKS)
QUARANTINE_PLACE = Place(
    "quarantine", "Quarantine", QUARANTINE_PATH, "quarantine", Permission.BOOKS
)
# One page of a listing, and one file.
PAGE, SHEET = 50, 500
RECENT = 8

# What terminals write, so what one may look for; a record of another kind is shown all the same.
WRITTEN = (
    *(Kind.SALE, Kind.TOP_UP, Kind.VOID, Kind.CARD_EVENT, Kind.DECLINE),
    *(Kind.BUNDLE_ON, Kind.CLOCK_STEP, Kind.OPERATOR, Kind.EPOCH_OPEN),
)

# What is checked of a record, in the order in which somebody else would.
CHECKS = (
    "The bytes have the hash that the chain carries on",
    "The record names the one before it",
    "The terminal's key signed exactly these bytes",
    "The signed watermark of the terminal covers it",
    "Its entries add up to zero in each unit",
)

_Narrow = Annotated[str, Query(max_length=40)]
_Kind = Annotated[str, Query(pattern=f"^({'|'.join(KINDS)})?$")]
_Text = Annotated[str, Query(max_length=64)]


def router(shell: Shell, currency: str) -> APIRouter:
    """The routes of the ledger's pages."""
    pages = APIRouter(include_in_schema=False)
    _listing(pages, shell)
    _one(pages, shell)
    _quarantine(pages, shell, currency)
    return pages


def _quarantine(pages: APIRouter, shell: Shell, currency: str) -> None:
    backend = shell.backend

    @pages.get(QUARANTINE_PATH)
    def quarantine(request: Request) -> Response:
        shell.enter(request, Permission.BOOKS)
        with backend.database.read() as connection:
            rows = quarantined(connection)
        return shell.page(request, "ledger/quarantine.html", {"rows": rows, "final": FORK})

    @pages.get(f"{QUARANTINE_PATH}/{{terminal}}/{{epoch}}/{{seq}}/accept")
    def ask(request: Request, terminal: TerminalPath, epoch: Whole, seq: Whole) -> Response:
        shell.enter(request, Permission.OPERATE)
        with backend.database.read() as connection:
            found = proof(connection, terminal, epoch, seq)
        return shell.page(request, "ledger/accept.html", {"proof": found, "most": NOTE_MAX})

    @pages.post(f"{QUARANTINE_PATH}/{{terminal}}/{{epoch}}/{{seq}}/accept")
    def accept(
        request: Request,
        terminal: TerminalPath,
        epoch: Whole,
        seq: Whole,
        note: Annotated[Note, Form()],
    ) -> Response:
        caller = shell.enter(request, Permission.OPERATE)
        settlement = Settlement(backend.clock_ms(), caller.label, note)
        with backend.database.write() as connection:
            take(connection, currency, terminal, epoch, seq, settlement)
        backend.line.members_changed()
        return RedirectResponse(f"{PATH}/{terminal}/{epoch}/{seq}", HTTPStatus.SEE_OTHER)


def _listing(pages: APIRouter, shell: Shell) -> None:
    @pages.get(PATH)
    def listing(
        request: Request,
        terminal: _Narrow = "",
        member: _Narrow = "",
        kind: _Kind = "",
        text: _Text = "",
    ) -> Response:
        shell.enter(request, Permission.BOOKS)
        query = search.Query(terminal.strip(), member.strip(), KINDS.get(kind), text)
        with shell.backend.database.read() as connection:
            found = search.find(connection, query, PAGE)
        chosen = {"terminal": terminal, "member": member, "kind": kind, "text": text}
        kinds = [each.name.lower() for each in WRITTEN]
        facts = {"records": found, "kinds": kinds, "page": PAGE, "chosen": chosen}
        return shell.page(request, "ledger/records.html", facts)

    @pages.get(f"{PATH}.csv")
    def table(
        request: Request,
        terminal: _Narrow = "",
        member: _Narrow = "",
        kind: _Kind = "",
        text: _Text = "",
    ) -> Response:
        shell.enter(request, Permission.BOOKS)
        query = search.Query(terminal.strip(), member.strip(), KINDS.get(kind), text)
        with shell.backend.database.read() as connection:
            found = search.find(connection, query, SHEET)
        head = (
            *("terminal", "epoch", "seq", "site", "kind", "state", "audit", "member"),
            *("occurred_ms", "received_ms", "hash"),
        )
        rows = [
            (
                *(each.terminal, each.epoch, each.seq, each.site, each.word, each.state),
                *(each.audit, each.member or "", each.occurred_ms, each.received_ms),
                record_hash(each.data).hex(),
            )
            for each in found
        ]
        return sheet("records", head, rows)


def _one(pages: APIRouter, shell: Shell) -> None:
    def find(request: Request, terminal: str, epoch: int, seq: int) -> Proof:
        shell.enter(request, Permission.BOOKS)
        with shell.backend.database.read() as connection:
            return proof(connection, terminal, epoch, seq)

    @pages.get(f"{PATH}/{{terminal}}/{{epoch}}/{{seq}}")
    def one(request: Request, terminal: TerminalPath, epoch: Whole, seq: Whole) -> Response:
        found = find(request, terminal, epoch, seq)
        sums: dict[str, int] = defaultdict(int)
        for entry in found.entries:
            sums[entry.unit] += entry.amount
        facts = {
            "proof": found,
            "checks": _checks(found, dict(sums)),
            "sums": dict(sums),
            "key_id": key_id(found.public_key).hex(),
            "decoded": None if found.record is None else decoded(found.record),
        }
        return shell.page(request, "ledger/record.html", facts)

    @pages.get(f"{PATH}/{{terminal}}/{{epoch}}/{{seq}}/data")
    def data(request: Request, terminal: TerminalPath, epoch: Whole, seq: Whole) -> Response:
        found = find(request, terminal, epoch, seq)
        name = f"{terminal}-{epoch}-{seq}.cose"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(found.data, media_type="application/cose", headers=headers)


def _checks(found: Proof, sums: Mapping[str, int]) -> list[tuple[str, bool]]:
    """Each of CHECKS with what came out just now."""
    results = (
        record_hash(found.data) == found.hash,
        found.linked,
        found.signed,
        found.seq <= found.upto_seq,
        not any(sums.values()),
    )
    return list(zip(CHECKS, results, strict=True))


def _overview(connection: Connection, _now_ms: int) -> Mapping[str, Any]:
    sites = sales_by_site(connection)
    return {
        "figures": figures(connection),
        "sites": sites,
        "most": max((site.amount for site in sites), default=0),
        "records": search.find(connection, search.Query(), RECENT),
    }


PANEL = Panel("ledger/overview.html", Permission.BOOKS, _overview)
