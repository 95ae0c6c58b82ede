"""A small chain of real processes for tests of the whole: brokers, ledgers and terminals to choose.

Breaking it is left to the tests; what it proves is said by the demo's verdict.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
from prometheus_client.parser import text_string_to_metric_families

from protocol.record import Sealed, read
from protocol.rules.bundle import Bundle
from provisioning.brokers import BROKERS
from provisioning.cloud_api import CloudApi
from provisioning.demo import catalogue, readings
from provisioning.demo.opening import now_ms, publish
from provisioning.demo.residents import TENANT, CardTable
from provisioning.demo.till import Answer
from provisioning.demo.town import START_S, Terminal, Town
from provisioning.demo.verdict import Story, Verdict, judge
from provisioning.processes import answers, wait_until

# Cards of the rig; no reader sees the same card twice in a row.
MEMBERS = ("m01", "m02", "m03", "m04")
# A machine that also does other things: what usually takes a second.
DRAIN_S = 60.0
SEED = "TAPLEDGER_SEED"


def new_seed() -> int:
    """A seed that nobody knows yet, or the one that the environment asks for."""
    return int(os.environ.get(SEED) or secrets.randbelow(1 << 32))


class Rig(Town):
    """A town of ``names`` (of the demo's terminals), each behind a PN532 on a pseudo-terminal.

    ``database``: the ledger's URL; SQLite in the town's folder when it is empty.
    """

    def __init__(
        self, folder: Path, broker: str, names: Sequence[str] = ("t-0001",), database: str = ""
    ) -> None:
        super().__init__(folder, BROKERS[broker])
        self._names, self.database = tuple(names), database
        self.bundles: list[Bundle] = []

    def open(self, said: Callable[[str], None] = lambda _: None) -> None:
        """Start everything; return when every terminal can serve every card."""
        self.open_cloud()
        api = self.api()
        try:
            for name in self._names:
                self.terminals[name] = self._enrol(name, api)
                self.terminals[name].agent.start()
            self._make_cards(api)
        finally:
            api.close()
        self.bundles.append(catalogue.morning(TENANT, now_ms()))
        publish(self, self.bundles[0])
        for terminal in self.terminals.values():
            said(terminal.at.terminal)
            self.wait_serving(terminal)
        self.wait_drained()

    def restart(self, terminal: Terminal) -> None:
        """Start an agent that was killed; return when it can serve cards."""
        terminal.agent.start()
        self.wait_ready(terminal)

    def wait_serving(self, terminal: Terminal) -> None:
        """Return when the terminal has prices and its reader."""
        self.wait_ready(terminal)
        till = terminal.till()
        try:
            wait_until(till.is_ready, START_S, f"{terminal.at.terminal} serves")
        finally:
            till.close()

    def enrol_only(self, name: str) -> None:
        """Enrol a terminal whose agent does not run."""
        api = self.api()
        try:
            self.terminals[name] = self._enrol(name, api)
        finally:
            api.close()

    def wait_cloud(self) -> None:
        """Return when the cloud serves."""
        self.cloud.wait_ready(lambda: answers(self.cloud_port), START_S)

    def wait_broker(self) -> None:
        """Return when the broker takes connections."""
        self.broker.wait_ready(lambda: answers(self.broker_port), START_S)

    def wait_connected(self) -> None:
        """Return when the lines of cloud and terminals stand."""
        wait_until(self._is_connected, DRAIN_S, "every line stands")

    def _is_connected(self) -> bool:
        try:
            found = httpx.get(f"{self.cloud_url}/readyz", trust_env=False)
            lines = [self.health(terminal)["online"] for terminal in self._running()]
        except httpx.TransportError:
            return False
        return found.is_success and all(lines)

    def health(self, terminal: Terminal) -> dict[str, Any]:
        """What a terminal says of itself."""
        health: dict[str, Any] = httpx.get(f"{terminal.url}/healthz", trust_env=False).json()
        return health

    def wait_drained(self, timeout_s: float = DRAIN_S) -> None:
        """Return when the ledger has receipted everything and every list is the newest."""
        wait_until(self.is_drained, timeout_s, "every record in the ledger, every list current")

    def is_drained(self) -> bool:
        """Whether every watermark is its journal's head, and every terminal's list the ledger's."""
        with self.reading() as disk:
            version = readings.list_version_in(disk)
        each = [readings.progress(terminal.folder) for terminal in self._running()]
        return all(it.head_seq == it.acked_seq and it.list_version == version for it in each)

    def is_receipted(self, name: str) -> bool:
        """Whether a terminal has the ledger's receipt for everything it wrote."""
        progress = readings.progress(self.terminals[name].folder)
        return progress.head_seq == progress.acked_seq

    def verdict(self, told: Mapping[str, Answer]) -> Verdict:
        """Compare what tills were told (by order) with journals and ledger, as read from disk."""
        with self.reading() as disk:
            books = readings.books_in(disk)
        story = Story(
            taps=len(told),
            answered=tuple(bytes.fromhex(answer.tid) for answer in told.values()),
            members={card.reference: card.member for card in self.cards.values() if card.member},
            bundles=tuple(self.bundles),
        )
        return judge(story, readings.journals(self.folder), books)

    def refused(self) -> Tally[str]:
        """How many messages the cloud refused since it started, by reason."""
        text = httpx.get(f"{self.cloud_url}/metrics", trust_env=False).raise_for_status().text
        return Tally(
            {
                sample.labels["reason"]: int(sample.value)
                for family in text_string_to_metric_families(text)
                for sample in family.samples
                if sample.name == "tapledger_refused_total"
            }
        )

    def terminal_document(self, name: str) -> dict[str, Any]:
        """What the cloud's API says of a terminal."""
        api = self.api()
        try:
            document: dict[str, Any] = api.get(f"/v1/terminals/{name}")
        finally:
            api.close()
        return document

    def record(self, name: str, seq: int) -> Sealed:
        """A terminal's record, from its disk."""
        return read(readings.journal(self.terminals[name].folder).records[seq - 1])[0]

    def apart(self, name: str) -> list[dict[str, Any]]:
        """What the cloud's API says that the ledger keeps apart of a terminal."""
        api = self.api()
        try:
            rows: list[dict[str, Any]] = api.get("/v1/quarantine")["quarantine"]
        finally:
            api.close()
        return [row for row in rows if row["terminal"] == name]

    def _running(self) -> list[Terminal]:
        return [self.terminals[name] for name in self._names]

    def _make_cards(self, api: CloudApi) -> None:
        table = CardTable()
        try:
            for name in MEMBERS:
                self.cards[name] = table.make(self.authority, api, api.add_member(name))
        finally:
            table.close()

    @contextmanager
    def reading(self) -> Iterator[readings.Database]:
        """The ledger's database, for reading."""
        connection: sqlite3.Connection | psycopg.Connection[Any]
        if self.database:
            connection = psycopg.connect(self.database.replace("+psycopg", ""))
        else:
            connection = sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True, timeout=10)
        try:
            yield connection
        finally:
            connection.close()


@contextmanager
def running_rig(
    folder: Path, broker: str, names: Sequence[str] = ("t-0001",), database: str = ""
) -> Iterator[Rig]:
    """A rig that serves, and whose processes are gone afterwards."""
    rig = Rig(folder, broker, names, database)
    try:
        rig.open()
        yield rig
    finally:
        rig.close()
