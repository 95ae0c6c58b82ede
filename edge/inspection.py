"""Looks into a journal for a technician, also while the agent runs. Never writes to it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlite_utils import Database

from edge.errors import JournalBroken, JournalForeign, ReceiptForeign
from edge.journal import Identity, rejoined
from protocol.chain import extend
from protocol.errors import ProtocolError
from protocol.grant import opening_head
from protocol.receipt import read_proof, receipt_number
from protocol.record import Kind, read
from protocol.signing import Purpose
from protocol.signing import verify as verify_signature


def stats(path: Path) -> str:
    """Return a table: epochs with what the ledger has, and records by kind."""
    database = _open(path)
    epochs = database.query(
        "SELECT epoch, upto_seq, (SELECT count(*) FROM records WHERE records.epoch = epochs.epoch)"
        " AS count FROM epochs ORDER BY epoch"
    )
    kinds = database.query("SELECT kind, count(*) AS count FROM records GROUP BY kind")
    lines = ["epoch  records  in the ledger"]
    lines += [f"{row['epoch']:5}  {row['count']:7}  up to {row['upto_seq']}" for row in epochs]
    lines += [f"{Kind(row['kind']).name.lower():14} {row['count']:7}" for row in kinds]
    return "\n".join(lines)


def verify(path: Path, identity: Identity) -> str:
    """Check all records of the present epoch that are kept, signature by signature.

    Returns one line; JournalBroken names the first record that does not hold.
    """
    database = _open(path)
    rows = database["records"].rows_where("epoch = ?", [identity.epoch], order_by="id")
    epochs = database["epochs"].rows_where("epoch = ?", [identity.epoch])
    acked_seq = max((row["upto_seq"] for row in epochs), default=0)
    head = opening_head(identity.epoch, identity.grant)
    count = 0
    for row in rows:
        where = f"{path}: record {row['epoch']}/{row['seq']}"
        try:
            sealed, signed = read(row["data"])
            verify_signature(signed, Purpose.RECORD, identity.verifier)
            head = extend(rejoined(head, sealed, acked_seq), (sealed,))
        except ProtocolError as error:
            raise JournalBroken(f"{where}: {error}") from error
        if (sealed.hash, sealed.record.tid) != (row["hash"], row["tid"]):
            raise JournalBroken(f"{where}: the row and its bytes differ")
        count += 1
    return f"{path}: {count} records of epoch {identity.epoch} hold, head {head.seq}"


def confirm(path: Path, text: str) -> str:
    """Say which record the code on a receipt names; ReceiptForeign when there is none such."""
    try:
        proof = read_proof(text)
    except ProtocolError as error:
        raise ReceiptForeign(str(error)) from error
    number = receipt_number(proof.terminal, proof.epoch, proof.seq)
    named = {"epoch": proof.epoch, "seq": proof.seq, "hash": proof.hash}
    rows = _open(path)["records"].rows_where(
        "epoch = :epoch AND seq = :seq AND hash = :hash", named
    )
    row = next(iter(rows), None)
    if row is None or read(row["data"])[0].record.receipt != number:
        raise ReceiptForeign(number)
    record = read(row["data"])[0].record
    return f"{number}: {record.kind.name.lower()} of {record.total} stands in the journal"


def _open(path: Path) -> Database:
    if not path.is_file():
        raise JournalForeign(f"there is no journal {path}")
    return Database(sqlite3.connect(f"file:{path}?mode=ro", uri=True))
