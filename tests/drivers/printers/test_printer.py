"""Prints over a serial line, the network and a file, and what is known when something breaks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.errors import PrinterLost, PrinterPaper, PrinterRefused
from drivers.printers.carrier import Carrier, open_carrier
from drivers.printers.document import COPY
from drivers.printers.escpos import WIDTH_58_MM, encode
from drivers.printers.job import Job, JobEvent, JobState, step
from drivers.printers.printer import Printer
from drivers.virtual.printer import Paper, VirtualPrinter
from tests.drivers.printers.test_escpos import RECEIPT, printed

# Long enough for a loaded machine where an answer comes, short where none does.
SOON_S, NEVER_S = 15.0, 0.3


@pytest.fixture(name="machine")
def _machine() -> Iterator[VirtualPrinter]:
    machine = VirtualPrinter()
    yield machine
    machine.close()


@pytest.fixture(name="path", params=["serial", "network", "usb"])
def _path(request: pytest.FixtureRequest, machine: VirtualPrinter) -> str:
    """The kernel's printer device is, as a pty is, a path that is opened and written to."""
    if request.param == "usb":
        return machine.serial.replace("serial:", "usb:")
    path: str = getattr(machine, request.param)
    return path


def run(path: str, job: Job, print_s: float = SOON_S) -> list[Job]:
    """Print on what stands at ``path``; the states that were kept."""
    carrier, kept = open_carrier(path), list[Job]()
    try:
        done = Printer(carrier, WIDTH_58_MM, print_s).run(job, RECEIPT, kept.append)
    finally:
        carrier.close()
    assert kept[-1:] in ([done], [])
    return kept


def test_a_receipt_is_printed_and_known_to_be(path: str, machine: VirtualPrinter) -> None:
    states = [job.state for job in run(path, Job("1"))]
    assert states == [JobState.PRINTING, JobState.PRINTED]
    assert machine.paper.lines == printed(RECEIPT).lines
    assert machine.paper.codes == [RECEIPT.proof]
    assert machine.paper.errors == []


def test_the_library_is_loaded_by_a_receipt_and_without_it_the_print_stays_queued() -> None:
    program = """
import sys
sys.modules["escpos"] = None
import drivers.print_supervisor
from drivers.errors import PrinterRefused
from drivers.printers.document import Receipt
from drivers.printers.job import Job
from drivers.printers.printer import Printer
try:
    Printer(None).run(Job("1"), Receipt("1", ()), lambda job: print("kept", job))
except PrinterRefused as error:
    print(error.code, error.detail)
"""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith("printer_refused python-escpos does not load")


def test_what_was_printed_is_printed_again_for_a_person_only(
    path: str, machine: VirtualPrinter
) -> None:
    job = run(path, Job("1"))[-1]
    assert run(path, job) == []
    assert machine.paper.cuts == 1
    assert run(path, step(job, JobEvent.ASKED_AGAIN))[-1].state is JobState.PRINTED
    assert machine.paper.lines.count(f"{COPY} 1") == 2
    assert machine.paper.cuts == 2


@pytest.mark.parametrize("sent", [3, 40, 200, len(encode(RECEIPT, WIDTH_58_MM))])
def test_a_printer_that_dies_leaves_a_doubt_wherever_it_was(
    path: str, machine: VirtualPrinter, sent: int
) -> None:
    machine.paper.dies_after = 3 + sent  # the question whether it has paper comes first
    job = run(path, Job("1"), NEVER_S)[-1]
    assert job.state is JobState.UNKNOWN
    machine.paper = Paper()
    assert run(path, job) == []
    assert run(path, step(job, JobEvent.ASKED_AGAIN))[-1].state is JobState.PRINTED
    assert machine.paper.lines[0] == f"{COPY} 1"


def test_without_paper_the_receipt_waits(path: str, machine: VirtualPrinter) -> None:
    machine.paper.has_paper = False
    with pytest.raises(PrinterPaper):
        run(path, Job("1"))
    assert machine.paper.lines == []
    machine.paper.has_paper = True
    assert run(path, Job("1"))[-1].state is JobState.PRINTED


class _RunsOut(Paper):
    """Paper that ends with the first cut."""

    def feed(self, data: bytes) -> bytes:
        """See Paper."""
        said = super().feed(data)
        if said and said != b"\x12":
            self.has_paper = False
            return b"\x0c"
        return said


def test_paper_that_ended_meanwhile_is_a_doubt(path: str, machine: VirtualPrinter) -> None:
    machine.paper = _RunsOut()
    assert run(path, Job("1"))[-1].state is JobState.UNKNOWN


class _Late:
    """A way on which a word of an earlier print still waits."""

    answers = True

    def __init__(self, way: Carrier) -> None:
        self._way, self._late = way, b"\x12"
        self.write, self.close = way.write, way.close

    def read(self, timeout_s: float) -> bytes:
        """See Carrier."""
        late, self._late = self._late, b""
        return late or self._way.read(timeout_s)


def test_a_word_of_an_earlier_print_answers_nothing(path: str, machine: VirtualPrinter) -> None:
    machine.paper.has_paper = False
    carrier = open_carrier(path)
    with pytest.raises(PrinterPaper):
        Printer(_Late(carrier)).run(Job("1"), RECEIPT, lambda _: None)
    carrier.close()


def test_a_mute_printer_is_given_nothing(path: str, machine: VirtualPrinter) -> None:
    machine.paper.dies_after = 0
    with pytest.raises(PrinterLost):
        run(path, Job("1"))
    assert machine.paper.lines == []


def test_a_printer_that_is_not_there_is_lost(machine: VirtualPrinter, tmp_path: Path) -> None:
    machine.close()
    for path in (machine.network, machine.serial, f"usb:{tmp_path}/lp0", f"serial:{tmp_path}/tty"):
        with pytest.raises(PrinterLost):
            open_carrier(path)


def test_a_serial_line_belongs_to_one_program(machine: VirtualPrinter) -> None:
    carrier = open_carrier(machine.serial)
    with pytest.raises(PrinterLost):
        open_carrier(machine.serial)
    carrier.close()
    assert run(machine.serial, Job("1"))[-1].state is JobState.PRINTED


def test_a_file_keeps_what_would_be_printed(tmp_path: Path) -> None:
    path = tmp_path / "paper"
    for _ in range(2):
        assert run(f"file:{path}", Job("1"))[-1].state is JobState.PRINTED
    paper = Paper()
    paper.feed(path.read_bytes())
    assert paper.lines == printed(RECEIPT).lines * 2
    assert paper.cuts == 2
    path.unlink()
    path.mkdir()
    assert run(f"file:{path}", Job("1"))[-1].state is JobState.UNKNOWN


@pytest.mark.parametrize("path", ["", "serial:", "lpt1:x", "/dev/usb/lp0", "network:printer:http"])
def test_a_path_that_means_nothing_is_refused(path: str) -> None:
    with pytest.raises(PrinterRefused):
        open_carrier(path)
