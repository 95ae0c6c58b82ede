"""The whole terminal as a process: PN532 driver, agent, HTTP, broker; only the card is software."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from edge.books import Situation
from edge.inspection import verify
from protocol.command import Command, CommandDone, Verb
from protocol.member_list import CardEntry, Snapshot
from protocol.membership.state import State
from protocol.shadow import Reported
from protocol.status import Status
from tests.drivers.world import member_card, reference
from tests.edge.ledger import SmallLedger
from tests.edge.terminal import TerminalProcess, credential_for_years, wait_health
from tests.edge.world import (
    AT,
    SOON_S,
    close,
    coffee,
    members,
    owner,
    published,
    snapshot,
    stocked_books,
    tap,
    wait_until,
)
from tests.services.broker import Broker, Client

pytestmark = pytest.mark.broker_nats

BACKLOG = 2_000
READY_S = 2.0
RESIDENT_KB = 90 * 1024
COFFEE = {"kind": "sale", "items": [{"sku": "coffee", "quantity": 1}]}


@pytest.fixture
def terminal(broker: Broker, tmp_path: Path) -> Iterator[TerminalProcess]:
    process = TerminalProcess(tmp_path / "terminal", broker)
    yield process
    process.close()


def serve(terminal: TerminalProcess, ledger: SmallLedger) -> None:
    """Start it, and give it a member and prices."""
    terminal.start()
    ledger.wait_for(1)
    holder = Snapshot("m-1", (CardEntry(reference(1)),), State(principal=10_000))
    ledger.send_members(members([holder]))
    ledger.send_bundle(published())
    wait_health(terminal, closed="", reader="ready", online=True)


def test_a_tap_through_everything(terminal: TerminalProcess, ledger: SmallLedger) -> None:
    serve(terminal, ledger)
    assert terminal.order("o1", COFFEE)[0] == 202
    terminal.reader.insert(member_card(1, credential_for_years))
    answer = terminal.answer("o1")
    assert (answer["state"], answer["total"], answer["balance"]) == ("approved", 500, 9_500)
    assert answer["stages_ms"].keys() == {"identify", "decide", "record", "show", "tap"}
    ledger.wait_for(answer["seq"])
    record = ledger.records[answer["seq"] - 1].record
    assert (record.tid.hex(), record.order) == (answer["tid"], "o1")
    assert record.card is not None
    assert record.card.reference == reference(1)
    assert record.card.proof
    assert terminal.order("o1", COFFEE)[0] == 200


def test_a_terminal_that_is_killed_goes_on(terminal: TerminalProcess, ledger: SmallLedger) -> None:
    serve(terminal, ledger)
    terminal.order("o1", COFFEE)
    terminal.reader.insert(member_card(1, credential_for_years))
    before = terminal.answer("o1")
    terminal.child.kill()
    wait_until(lambda: Status(online=False, session=_session(ledger)) in ledger.said, "its will")
    terminal.reader.remove()
    terminal.start()
    after = terminal.order("o1", COFFEE)[1]
    assert after == {**before, "stages_ms": {}}
    wait_health(terminal, closed="", online=True, queue=0)


def test_it_says_who_it_is_and_obeys_once(terminal: TerminalProcess, ledger: SmallLedger) -> None:
    serve(terminal, ledger)
    reported = ledger.wait_said(Reported)[0]
    assert isinstance(reported, Reported)
    assert reported.list_version == 0
    order = Command(
        id=bytes(16),
        terminal=AT.terminal,
        verb=Verb.LOCK,
        not_after_ms=int(time.time() * 1000) + 60_000,
        operator="li.wei",
    )
    for number in (1, 2):
        ledger.send_command(order)
        ledger.wait_said(CommandDone, number)
    wait_health(terminal, closed="terminal_locked")
    wait_until(lambda: any(isinstance(each, Status) and each.locked for each in ledger.said))
    assert [each.record.reason for each in ledger.records].count("lock") == 1


def test_a_backlog_drains_and_the_start_does_not_wait_for_it(
    terminal: TerminalProcess, ledger: SmallLedger
) -> None:
    books = stocked_books(terminal.folder / "data")
    books.cache.apply(members([snapshot(principal=10**9)], version=2))
    for number in range(BACKLOG):
        books.book(tap(coffee(f"o{number}")), Situation(online=False, closed="locked"))
    close(books)
    terminal.start()
    assert processor_s(terminal) < READY_S, "processor time: others may keep it waiting"
    ledger.wait_for(BACKLOG)
    wait_health(terminal, queue=0)
    assert ledger.batches <= BACKLOG // 50 + 6, "batches are full, and sent once"
    assert resident_kb(terminal) < RESIDENT_KB
    terminal.child.stop()
    assert f"head {BACKLOG + 2}" in verify(terminal.folder / "data/journal.db", owner())


def test_it_ends_when_it_is_asked_to(terminal: TerminalProcess, ledger: SmallLedger) -> None:
    serve(terminal, ledger)
    ledger.said.clear()
    pid = terminal.child.pid
    terminal.child.stop()
    assert pid is not None
    assert terminal.child.wait(0) == 0
    goodbye = ledger.wait_said(Status)[-1]
    assert goodbye == Status(online=False, session=_session(ledger))


def test_systemd_hears_ready_and_a_heartbeat(
    terminal: TerminalProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(tmp_path / "notify"))
        line.settimeout(SOON_S)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "200000")
        terminal.start()
        assert [line.recv(99) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]


def test_nobody_but_its_own_machine_reaches_it(terminal: TerminalProcess) -> None:
    """The page asks for no token. 127.0.0.2 is another address of this machine."""
    terminal.start()
    with socket.create_connection(("127.0.0.1", terminal.port), SOON_S):
        pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", terminal.port), SOON_S)


def test_a_second_agent_on_the_same_folder_does_not_start(
    terminal: TerminalProcess, broker: Broker
) -> None:
    terminal.start()
    second = [sys.executable, "-m", "edge", "--config", str(terminal.config)]
    child = type(terminal.child)("second", second, terminal.folder / "second.log")
    del broker
    child.start()
    assert child.wait(SOON_S) == 1, "not a mistake of the configuration: systemd tries again"
    assert "another agent uses it" in (terminal.folder / "second.log").read_text()


def test_a_renewed_certificate_is_taken_with_the_next_line(
    terminal: TerminalProcess, ledger: SmallLedger, broker: Broker
) -> None:
    """The new one is 61 days old here, so that the end of its life is seen as well."""
    serve(terminal, ledger)
    file = broker.identities[AT].certificate
    first = x509.load_pem_x509_certificate(file.read_bytes())

    def said(note: str, certificate: x509.Certificate) -> bool:
        ends_ms = int(certificate.not_valid_after_utc.timestamp() * 1000)
        seen = (each for each in ledger.said if isinstance(each, Status))
        return any((each.note, each.certificate_ends_ms) == (note, ends_ms) for each in seen)

    wait_until(lambda: said("", first), "the status")
    old = datetime.now(UTC) - timedelta(days=61)
    renewed = broker.authority.renew(first, old)
    file.write_bytes(renewed)
    # Another client of its name ends its line; then that one goes, and it comes back.
    double = Client(broker.port, broker.identities[AT], AT.terminal, broker.authority.ca)
    assert double.connected.wait(SOON_S)
    double.close()
    second = x509.load_pem_x509_certificate(renewed)
    wait_until(lambda: said("certificate_ends", second), "the status over the new line")


def _session(ledger: SmallLedger) -> str:
    """Name of the terminal's newest connection."""
    return next(each.session for each in reversed(ledger.said) if isinstance(each, Status))


def resident_kb(terminal: TerminalProcess) -> int:
    """Resident memory of the process."""
    lines = Path(f"/proc/{terminal.child.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def processor_s(terminal: TerminalProcess) -> float:
    """Processor time that the process has used."""
    fields = Path(f"/proc/{terminal.child.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
