"""Takes a record out of quarantine when a person judges so; what it does is left to ingest."""

from __future__ import annotations

from functools import partial

from sqlalchemy import Connection

from cloud.errors import NotAcceptable, NotKeptApart
from cloud.ledger.audit import Auditor
from cloud.ledger.chains import step_of
from cloud.ledger.ingest import Rules, accept
from cloud.ledger.proof import Proof, proof
from cloud.ledger.transaction import published
from cloud.storage.rows import Settlement
from cloud.storage.unit_of_work import unit_on


def take(
    connection: Connection,
    currency: str,
    terminal: str,
    epoch: int,
    seq: int,
    settlement: Settlement,
) -> Proof:
    """Book a record that is kept apart, in the write transaction of ``connection``.

    UnknownRecord, NotKeptApart, or NotAcceptable with what speaks against it.
    """
    proof(connection, terminal, epoch, seq)
    unit = unit_on(connection)
    chain = unit.chain(terminal, epoch)
    data = None if chain is None else unit.kept(chain, seq)
    if chain is None or data is None:
        raise NotKeptApart(f"{terminal} {epoch}/{seq}")
    rules = Rules(Auditor(partial(published, connection)), currency)
    step = step_of(data)._replace(terminal=terminal, epoch=epoch, seq=seq)
    made = accept(chain, step, unit, rules, settlement.settled_ms)
    if made.quarantine:
        raise NotAcceptable(made.quarantine[0].reason)
    unit.take(made, chain, settlement)
    return proof(connection, terminal, epoch, seq)
