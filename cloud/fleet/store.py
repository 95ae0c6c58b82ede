"""Terminals, epochs and commands in the database. Chains grow in storage.unit_of_work."""

from __future__ import annotations

from sqlalchemy import Connection, Row, Select, and_, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from cloud.errors import TerminalExists, TerminalRevoked, UnknownTerminal
from cloud.fleet.model import Enrolment, SentCommand, Terminal
from cloud.storage.rows import SEQ_MAX
from cloud.storage.schema import commands, epochs, terminals
from protocol.codec import decode, encode
from protocol.command import Command, CommandDone
from protocol.shadow import Reported
from protocol.status import Status
from protocol.watermark import Standing

DEFAULT_STATUS_EVERY_S = 30


def enrol(connection: Connection, new: Enrolment) -> None:
    """Add a terminal with its first epoch; TerminalExists when the id is taken."""
    try:
        connection.execute(
            insert(terminals).values(
                terminal=new.terminal,
                site=new.site,
                standing=Standing.ACTIVE,
                epoch=new.epoch,
                enrolled_ms=new.granted_ms,
                heard_ms=0,
                online=0,
                revision=1,
                status_every_s=DEFAULT_STATUS_EVERY_S,
            )
        )
    except IntegrityError as error:
        raise TerminalExists(new.terminal) from error
    _add_epoch(connection, new)


def open_epoch(connection: Connection, new: Enrolment, *, trusted: bool = False) -> None:
    """Add the next epoch (``new.epoch`` = the terminal's epoch + 1); a fork ends with it.

    ``trusted``: what the key of the present epoch still hands in is taken as before.
    """
    found = terminal(connection, new.terminal)
    if found.standing is Standing.DRAIN_ONLY:
        raise TerminalRevoked(new.terminal)
    connection.execute(
        update(terminals)
        .where(terminals.c.terminal == new.terminal)
        .values(epoch=new.epoch, standing=Standing.ACTIVE)
    )
    if trusted:
        _let_epoch_end(connection, found, new.granted_ms)
    else:
        _close_epochs(connection, new.terminal, new.granted_ms)
    _add_epoch(connection, new)


def revoke(connection: Connection, terminal_id: str, now_ms: int) -> None:
    """Let a terminal hand in its journal, and nothing else; UnknownTerminal when there is none."""
    terminal(connection, terminal_id)
    connection.execute(
        update(terminals)
        .where(terminals.c.terminal == terminal_id)
        .values(standing=Standing.DRAIN_ONLY)
    )
    _close_epochs(connection, terminal_id, now_ms)


def desire(connection: Connection, terminal_id: str, status_every_s: int) -> Terminal:
    """Want a terminal to say how it is every ``status_every_s``; UnknownTerminal without it."""
    connection.execute(
        update(terminals)
        .where(terminals.c.terminal == terminal_id)
        .values(status_every_s=status_every_s, revision=terminals.c.revision + 1)
    )
    return terminal(connection, terminal_id)


def terminal(connection: Connection, terminal: str) -> Terminal:
    """One terminal; UnknownTerminal when there is none."""
    row = connection.execute(_terminals().where(terminals.c.terminal == terminal)).one_or_none()
    if row is None:
        raise UnknownTerminal(terminal[:40])
    return _terminal(row)


def at_epoch(connection: Connection, terminal: Terminal, epoch: int) -> Terminal:
    """``terminal`` with what the ledger has of ``epoch``; as it is when that was not granted."""
    if epoch in (0, terminal.epoch):
        return terminal
    figures = (epochs.c.epoch, epochs.c.upto_seq, epochs.c.head_hash, epochs.c.quarantined)
    row = connection.execute(
        select(*figures).where(epochs.c.terminal == terminal.terminal, epochs.c.epoch == epoch)
    ).one_or_none()
    return terminal if row is None else terminal._replace(**row._mapping)  # noqa: SLF001


def all_terminals(connection: Connection) -> list[Terminal]:
    """Every terminal in the order of ids."""
    return [_terminal(row) for row in connection.execute(_terminals())]


def grant_data(connection: Connection, terminal: str, epoch: int) -> bytes:
    """The signed bytes of a grant; UnknownTerminal when it was not given."""
    data: bytes | None = connection.execute(
        select(epochs.c.grant_data).where(epochs.c.terminal == terminal, epochs.c.epoch == epoch)
    ).scalar()
    if data is None:
        raise UnknownTerminal(f"{terminal[:40]}, epoch {epoch}")
    return data


def hear_status(connection: Connection, terminal: str, status: Status, now_ms: int) -> None:
    """Keep what a terminal says; the death of a session that is not the newest is ignored."""
    known = connection.execute(
        select(terminals.c.status).where(terminals.c.terminal == terminal)
    ).scalar()
    if not status.online and known is not None and decode(known, Status).session != status.session:
        return
    connection.execute(
        update(terminals)
        .where(terminals.c.terminal == terminal)
        .values(status=encode(status), online=int(status.online), heard_ms=now_ms)
    )


def hear_reported(connection: Connection, terminal: str, reported: Reported, now_ms: int) -> None:
    """Keep which bundle and list a terminal has."""
    connection.execute(
        update(terminals)
        .where(terminals.c.terminal == terminal)
        .values(reported=encode(reported), heard_ms=now_ms)
    )


def add_command(connection: Connection, command: Command, data: bytes, now_ms: int) -> None:
    """Keep a command with its signed bytes ``data``."""
    connection.execute(
        insert(commands).values(
            id=command.id,
            terminal=command.terminal,
            verb=command.verb.value,
            operator=command.operator,
            issued_ms=now_ms,
            not_after_ms=command.not_after_ms,
            data=data,
            code="",
            done_ms=0,
        )
    )


def finish_command(connection: Connection, terminal: str, done: CommandDone, now_ms: int) -> None:
    """Keep a terminal's answer; another terminal's command is left alone."""
    connection.execute(
        update(commands)
        .where(commands.c.id == done.id, commands.c.terminal == terminal, commands.c.code == "")
        .values(code=done.code, done_ms=now_ms)
    )


def commands_of(connection: Connection, terminal: str, limit: int) -> list[SentCommand]:
    """The newest commands to a terminal, newest first."""
    columns = [commands.c[name] for name in SentCommand._fields]
    query = select(*columns).where(commands.c.terminal == terminal)
    rows = connection.execute(query.order_by(commands.c.issued_ms.desc()).limit(limit))
    return [SentCommand(*row) for row in rows]


def _close_epochs(connection: Connection, terminal_id: str, now_ms: int) -> None:
    """End every epoch of a terminal with the newest record that the ledger has of it.

    One that was closed before stays as it was, unless its end was left open by trust.
    """
    left_open = or_(epochs.c.closed_ms == 0, epochs.c.closed_seq > epochs.c.upto_seq)
    connection.execute(
        update(epochs)
        .where(epochs.c.terminal == terminal_id, left_open)
        .values(closed_ms=now_ms, closed_seq=epochs.c.upto_seq)
    )


def _let_epoch_end(connection: Connection, of: Terminal, now_ms: int) -> None:
    """End the newest epoch of ``of``, and leave open with which record."""
    connection.execute(
        update(epochs)
        .where(epochs.c.terminal == of.terminal, epochs.c.epoch == of.epoch)
        .values(closed_ms=now_ms, closed_seq=SEQ_MAX)
    )


def _add_epoch(connection: Connection, new: Enrolment) -> None:
    connection.execute(
        insert(epochs).values(
            terminal=new.terminal,
            epoch=new.epoch,
            algorithm=new.algorithm,
            public_key=new.public_key,
            grant_data=new.grant_data,
            granted_ms=new.granted_ms,
            closed_ms=0,
            closed_seq=0,
            upto_seq=0,
            head_hash=new.head_hash,
            quarantined=0,
        )
    )


def _terminals() -> Select[tuple[object, ...]]:
    newest = and_(epochs.c.terminal == terminals.c.terminal, epochs.c.epoch == terminals.c.epoch)
    chain = (epochs.c.upto_seq, epochs.c.head_hash, epochs.c.quarantined)
    return (
        select(terminals, *chain)
        .select_from(terminals.join(epochs, newest))
        .order_by(terminals.c.terminal)
    )


def _terminal(row: Row[tuple[object, ...]]) -> Terminal:
    values = row._mapping  # noqa: SLF001  (SQLAlchemy's public name of a row's mapping)
    status, reported = values["status"], values["reported"]
    return Terminal(
        terminal=values["terminal"],
        site=values["site"],
        standing=Standing(values["standing"]),
        epoch=values["epoch"],
        upto_seq=values["upto_seq"],
        head_hash=values["head_hash"],
        quarantined=values["quarantined"],
        enrolled_ms=values["enrolled_ms"],
        heard_ms=values["heard_ms"],
        online=bool(values["online"]),
        status=None if status is None else decode(status, Status),
        reported=None if reported is None else decode(reported, Reported),
        revision=values["revision"],
        status_every_s=values["status_every_s"],
    )
