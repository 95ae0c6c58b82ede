"""A terminal as a process with a second reader and a receipt printer; all but the paper is real."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.cards.qr_credential import FAMILY
from drivers.virtual.printer import Paper, VirtualPrinter
from drivers.virtual.serial_line import SerialLine
from edge.__main__ import main
from protocol.credential import card_reference
from protocol.member_list import CardEntry, Snapshot
from protocol.membership.state import State
from protocol.qr_credential import SLOT_S
from protocol.receipt import read_proof
from protocol.record import record_hash
from protocol.status import Status
from tests.drivers.world import TRUST, member_card, reference
from tests.edge.ledger import SmallLedger
from tests.edge.terminal import TerminalProcess, credential_for_years, wait_health
from tests.edge.world import AT, SOON_S, members, published, wait_until
from tests.protocol.phone import CREDENTIAL, code
from tests.services.broker import Broker

pytestmark = pytest.mark.broker_nats

# A tap with its card's coming and going, on a loaded machine; a printer has 15 s for an answer.
SWIFT_S = 5.0
COFFEE = {"kind": "sale", "items": [{"sku": "coffee", "quantity": 2}]}
PHONE = card_reference(TRUST.reference_key, FAMILY, CREDENTIAL.card_id)
DEVICES = """
[scanner]
kind = "scanner"
path = "{scanner}"
[printer]
kind = "serial"
path = "{printer}"
title = "港口咖啡 Harbour"
"""


@pytest.fixture(name="scanner")
def _scanner(tmp_path: Path) -> Iterator[SerialLine]:
    scanner = SerialLine(tmp_path)
    yield scanner
    scanner.unplug()


@pytest.fixture(name="printer")
def _printer() -> Iterator[VirtualPrinter]:
    printer = VirtualPrinter()
    yield printer
    printer.close()


@pytest.fixture(name="terminal")
def _terminal(
    broker: Broker,
    ledger: SmallLedger,
    scanner: SerialLine,
    printer: VirtualPrinter,
    tmp_path: Path,
) -> Iterator[TerminalProcess]:
    """A terminal that serves, with a member who has a card and a phone."""
    tty = printer.serial.removeprefix("serial:")
    devices = DEVICES.format(scanner=scanner.path, printer=tty)
    terminal = TerminalProcess(tmp_path / "terminal", broker, devices=devices)
    try:
        terminal.start()
        ledger.wait_for(1)
        cards = (CardEntry(reference(1)), CardEntry(PHONE))
        ledger.send_members(members([Snapshot("m-1", cards, State(principal=100_000))]))
        ledger.send_bundle(published())
        wait_health(terminal, closed="", reader="ready", scanner="ready", printer="ready")
        yield terminal
    finally:
        terminal.close()


def buy(terminal: TerminalProcess, order: str) -> dict[str, object]:
    """A sale paid with the card on the NFC reader."""
    assert terminal.order(order, COFFEE)[0] == 202
    terminal.reader.insert(member_card(1, credential_for_years))
    answer = terminal.answer(order)
    terminal.reader.remove()
    wait_health(terminal, reader="ready")
    assert answer["state"] == "approved"
    return answer


def page(terminal: TerminalProcess) -> dict[str, object]:
    """What the page is told first."""
    address = f"http://127.0.0.1:{terminal.port}/events"
    with urllib.request.urlopen(address, timeout=SOON_S) as events:
        told = next(line for line in events if line.startswith(b'data: {"stamp"'))
    view: dict[str, object] = json.loads(told.removeprefix(b"data: "))["view"]
    return view


def wait_receipt(terminal: TerminalProcess, order: str, state: str, copy: int) -> None:
    expected = {"state": state, "copy": copy}
    wait_until(lambda: expected.items() <= terminal.receipt(order).items(), f"{order} {expected}")


def test_a_tap_on_either_reader_and_its_receipt(
    terminal: TerminalProcess,
    ledger: SmallLedger,
    scanner: SerialLine,
    printer: VirtualPrinter,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert terminal.order("by-phone", COFFEE)[0] == 202
    scanned_s = int(time.time()) + SLOT_S  # codes of the slot in which it started are refused
    today = scanned_s // 86_400
    shown = code(scanned_s, issued_day=today - 1, expires_day=today + 30)
    scanner.say(shown.encode() + b"\r\n")
    answer = terminal.answer("by-phone")
    assert (answer["state"], answer["balance"]) == ("approved", 99_000)
    assert buy(terminal, "by-card")["balance"] == 98_000
    assert page(terminal)["receipt"] == "by-card"

    assert terminal.ask_receipt("by-card")["copy"] == 0
    wait_receipt(terminal, "by-card", "printed", 0)
    lines = printer.paper.lines
    assert lines[:2] == ["港口咖啡 Harbour", "消费小票"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", lines[2])
    assert [re.sub(" {2,}", " ", line) for line in lines[4:11]] == [
        "咖啡 × 2 ¥10.00",
        "合计 ¥10.00",
        "会员余额支付 ¥10.00",
        "",
        "本次积分 +10",
        "积分 20",
        "余额 ¥980.00",
    ]
    proof = read_proof(printer.paper.codes[0])
    ledger.wait_for(proof.seq)
    assert lines[12] == f"{AT.terminal}-{proof.epoch}-{proof.seq}"
    assert (
        main(["--config", str(terminal.config), "journal", "receipt", printer.paper.codes[0]]) == 0
    )
    assert "sale of 1000" in capsys.readouterr().out
    assert proof.hash == record_hash(ledger.records[proof.seq - 1].data)


def test_a_print_holds_up_no_tap_and_killed_in_it_there_is_no_second_original(
    terminal: TerminalProcess, printer: VirtualPrinter
) -> None:
    buy(terminal, "o1")
    printer.paper.dies_after = 60
    terminal.ask_receipt("o1")
    wait_until(lambda: printer.paper.dies_after == 0, "half a receipt")
    begun_s = time.monotonic()
    buy(terminal, "o2")
    assert time.monotonic() - begun_s < SWIFT_S
    assert terminal.receipt("o1")["state"] == "printing"
    terminal.child.kill()

    printer.paper = Paper()
    terminal.start()
    wait_receipt(terminal, "o1", "unknown", 0)
    terminal.ask_receipt("o2")
    wait_receipt(terminal, "o2", "printed", 0)
    assert printer.paper.cuts == 1
    assert not any("COPY" in line for line in printer.paper.lines)
    assert terminal.ask_receipt("o1")["copy"] == 1
    wait_receipt(terminal, "o1", "printed", 1)
    assert printer.paper.cuts == 2
    assert printer.paper.lines.count("补打 COPY 1") == 2


def test_a_device_that_is_gone_is_told_of_and_cards_go_on(
    terminal: TerminalProcess, ledger: SmallLedger, printer: VirtualPrinter, scanner: SerialLine
) -> None:
    printer.close()
    buy(terminal, "o1")
    assert terminal.ask_receipt("o1")["state"] == "queued"
    wait_health(terminal, printer="lost", reader="ready")
    scanner.unplug()

    def told() -> bool:
        said = [each for each in ledger.said if isinstance(each, Status)]
        devices = {(each.reader, each.scanner, each.printer) for each in said}
        return ("ready", "lost", "lost") in devices

    wait_until(told, "the devices in its status")
    assert terminal.receipt("o1")["state"] == "queued"


def test_a_terminal_sells_while_its_file_of_receipts_cannot_be_opened(
    terminal: TerminalProcess, printer: VirtualPrinter
) -> None:
    buy(terminal, "o1")
    terminal.child.stop()
    (file,) = terminal.folder.rglob("receipts.db")
    file.unlink()
    file.mkdir()
    terminal.start()
    wait_health(terminal, printer="lost", reader="ready")
    buy(terminal, "o2")
    assert terminal.ask_receipt("o2")["code"] == "receipts_refused"
    assert terminal.receipt("o2")["code"] == "receipts_refused"
    assert "receipts_refused" in (terminal.folder / "edge.log").read_text()

    file.rmdir()
    wait_health(terminal, printer="ready")
    assert terminal.ask_receipt("o2")["copy"] == 0
    wait_receipt(terminal, "o2", "printed", 0)
    assert terminal.ask_receipt("o1")["copy"] == 1
