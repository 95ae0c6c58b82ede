"""A terminal that was long without a line hands in its journal: records to signed watermark."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from msgspec import structs

from edge.journal import Identity, Journal
from protocol.codec import encode
from protocol.identifiers import uuid7
from protocol.record import BundleRef, Card, CardClass, Tender
from protocol.rules.evaluate import Pricing
from protocol.signing import Ed25519Signer
from provisioning.brokers import BROKERS
from provisioning.demo.catalogue import EVERYDAY
from provisioning.demo.opening import open_shop
from provisioning.demo.readings import JOURNAL
from provisioning.demo.town import Terminal, Town
from provisioning.processes import wait_until
from tests.bench.row import Bench, Progress, Row, median
from tests.protocol.world import sale

BACKLOG = 20_000
ROUNDS = 3
RECORDS_S = 3_000
# Watermarks come every few milliseconds; looking more often would take a core away.
LOOK_S = 0.01
DRAIN_S = 120.0


def measure(folder: Path, progress: Progress) -> Sequence[Row]:
    """From the first watermark that moves to the last; all programs on the same cores."""
    town = Town(folder / "town", BROKERS["nats"])
    rates = []
    try:
        town.open(progress)
        pricing = Pricing(open_shop(town))
        terminal = next(iter(town.terminals.values()))
        for _ in range(ROUNDS):
            progress(f"a backlog of {BACKLOG:,} records is written")
            terminal.agent.stop()
            _fill(terminal, pricing, [held.reference for held in town.cards.values()])
            terminal.agent.start()
            rates.append(_drained(terminal))
            progress(f"{rates[-1]:,.0f} records/s")
    finally:
        town.close()
    return (
        Row(
            name=f"drain of {BACKLOG:,} records to signed watermark",
            value=median(rates),
            unit="records/s",
            bar=RECORDS_S,
            at_most=False,
        ),
    )


def _fill(terminal: Terminal, pricing: Pricing, cards: list[bytes]) -> None:
    """Sales as the agent would have written them."""
    key = load_pem_private_key((terminal.folder / "signing.pem").read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    signer = Ed25519Signer(key.private_bytes_raw())
    grant = (terminal.folder / "grant.cose").read_bytes()
    identity = Identity(terminal.at.terminal, 1, grant, signer, signer.verifier)
    bundle = pricing.bundle
    ref = BundleRef(bundle.number, sha256(encode(bundle)).digest())
    with closing(Journal(terminal.folder / JOURNAL, identity)) as journal:
        for number in range(BACKLOG):
            priced = pricing.price([(EVERYDAY[number % len(EVERYDAY)], 1 + number % 3)], "")
            record = structs.replace(
                sale(journal.head, terminal=terminal.at.terminal),
                tid=uuid7(number, sha256(journal.head.hash).digest()[:10]),
                card=Card(cards[number % len(cards)], "cpu", CardClass.SECURE, number),
                lines=priced.lines,
                tenders=(Tender("stored_value", priced.total),),
                earned=priced.earned,
                tier="",
                bundle=ref,
            )
            journal.append(record)


def _drained(terminal: Terminal) -> float:
    """Records a second between the first and the last watermark."""
    with closing(sqlite3.connect(terminal.folder / JOURNAL)) as connection:

        def acked() -> int:
            return int(connection.execute("SELECT max(upto_seq) FROM epochs").fetchone()[0])

        before = acked()
        wait_until(lambda: acked() > before, DRAIN_S, "the first watermark")
        first, start = acked(), time.perf_counter()
        head = int(connection.execute("SELECT max(seq) FROM records").fetchone()[0])
        while acked() < head:
            time.sleep(LOOK_S)
        return (head - first) / (time.perf_counter() - start)


BENCH = Bench("Drain of a backlog", 3, measure)
