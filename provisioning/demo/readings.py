"""The two readings: the terminals' disks and the ledger's database, opened read-only.

Their file formats are read here with sqlite3 and protocol alone, as an auditor would, not through
the programs that wrote them.
"""

from __future__ import annotations

import sqlite3
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from protocol.member_list import Snapshot
from protocol.signing import Ed25519Signer, VerifyingKey
from protocol.watermark import Standing
from provisioning.demo.verdict import Books, Holding, Journal, Leg, Posted
from provisioning.errors import DayUnfinished

TERMINALS_FOLDER = "terminals"
JOURNAL, CACHE = Path("data/journal.db"), Path("data/cache.db")
# A record's place in the ledger: chain * 2**40 + seq.
_SEQ_BITS = 40
_snapshot = msgspec.msgpack.Decoder(Snapshot).decode


class Database(Protocol):
    """An open database: of sqlite3, or of another driver that runs statements so."""

    def execute(self, statement: Any, /) -> Any:
        """Run one statement; its rows can be iterated and fetched."""


class Progress(NamedTuple):
    """How far a terminal is: its newest record, the last that the ledger receipted, its list."""

    head_seq: int
    acked_seq: int
    list_version: int


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A database that others write, for reading."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    try:
        yield connection
    finally:
        connection.close()


def journals(town: Path) -> list[Journal]:
    """Read every terminal's folder in the town's."""
    return [
        journal(config.parent) for config in sorted(town.glob(f"{TERMINALS_FOLDER}/*/edge.toml"))
    ]


def journal(folder: Path) -> Journal:
    """Read one terminal's folder."""
    config = tomllib.loads((folder / "edge.toml").read_text())
    with opened(folder / JOURNAL) as disk:
        grants = dict(disk.execute("SELECT epoch, grant_data FROM epochs"))
        records = tuple(data for (data,) in disk.execute("SELECT data FROM records ORDER BY id"))
    with opened(folder / CACHE) as disk:
        snapshots = [_snapshot(data) for (data,) in disk.execute("SELECT snapshot FROM members")]
    known = {
        each.member: Holding(each.state.balance, each.state.points - each.state.points_debt)
        for each in snapshots
    }
    return Journal(
        config["terminal"], config["site"], _key(folder / "signing.pem"), grants, records, known
    )


def progress(folder: Path) -> Progress:
    """Read how far one terminal is."""
    with opened(folder / JOURNAL) as disk:
        head, acked = disk.execute(
            "SELECT (SELECT max(seq) FROM records WHERE epoch = epochs.epoch), upto_seq"
            " FROM epochs ORDER BY epoch DESC LIMIT 1"
        ).fetchone()
    with opened(folder / CACHE) as disk:
        (version,) = disk.execute("SELECT list_version FROM list").fetchone()
    return Progress(head or 0, acked, version)


def holds_bundle(folder: Path, number: int) -> bool:
    """Whether a terminal has the bundle on its disk, armed or in force."""
    with opened(folder / CACHE) as disk:
        found = disk.execute("SELECT count(*) FROM bundles WHERE number = ?", (number,))
        return bool(found.fetchone()[0])


def newest(folder: Path, count: int) -> list[bytes]:
    """Return the newest ``count`` records of a terminal that the ledger has, oldest first."""
    with opened(folder / JOURNAL) as disk:
        rows = disk.execute(
            "SELECT data FROM records JOIN epochs USING (epoch) WHERE seq <= upto_seq"
            " ORDER BY id DESC LIMIT ?",
            (count,),
        ).fetchall()
    return [data for (data,) in reversed(rows)]


def list_version(ledger: Path) -> int:
    """Return the newest version of the ledger's member list."""
    with opened(ledger) as disk:
        return list_version_in(disk)


def list_version_in(disk: Database) -> int:
    """As list_version, of any open database with the ledger's tables."""
    rows = disk.execute("SELECT value FROM counters WHERE name = 'list_version'").fetchall()
    return int(rows[0][0]) if rows else 0


def books(ledger: Path) -> Books:
    """Read the ledger's database."""
    with opened(ledger) as disk:
        return books_in(disk)


def books_in(disk: Database) -> Books:
    """As books, of any open database with the ledger's tables."""
    chains = {
        chain: (terminal, epoch, (upto, head))
        for chain, terminal, epoch, upto, head in disk.execute(
            "SELECT chain, terminal, epoch, upto_seq, head_hash FROM epochs"
        )
    }
    return Books(
        records=tuple(
            Posted(_place(chains, place), tid, data)
            for place, tid, data in disk.execute("SELECT place, tid, data FROM records")
        ),
        legs=tuple(
            Leg(_place(chains, place), account, unit, amount)
            for place, account, unit, amount in disk.execute(
                "SELECT place, account, unit, amount FROM entries"
            )
        ),
        running={
            (account, unit): amount
            for account, unit, amount in disk.execute("SELECT account, unit, amount FROM balances")
        },
        heads={(terminal, epoch): head for terminal, epoch, head in chains.values()},
        standings={
            terminal: Standing(standing)
            for terminal, standing in disk.execute("SELECT terminal, standing FROM terminals")
        },
        apart=disk.execute("SELECT count(*) FROM quarantine").fetchone()[0],
    )


def _place(
    chains: Mapping[int, tuple[str, int, tuple[int, bytes]]], place: int
) -> tuple[str, int, int]:
    terminal, epoch, _ = chains[place >> _SEQ_BITS]
    return terminal, epoch, place & ((1 << _SEQ_BITS) - 1)


def _key(path: Path) -> VerifyingKey:
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise DayUnfinished(f"{path} is not an Ed25519 key")
    return Ed25519Signer(key.private_bytes_raw()).verifier
