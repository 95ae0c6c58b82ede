"""Queue, supervisor and a printer in software together: nothing leaves two originals.

And a printer in trouble holds nothing up.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from drivers.print_supervisor import LOOK_S, PrinterHealth, PrintSupervisor
from drivers.printers.escpos import WIDTH_58_MM, encode
from drivers.printers.job import Job, JobState
from drivers.supervise import BackOff
from drivers.virtual.printer import Paper, VirtualPrinter
from edge.print_queue import WAITS_MS, PrintQueue
from tests.edge.paper import begun, open_queue, place, receipt
from tests.edge.world import SOON_S, START_MS, wait_until

SOON = BackOff(0.02, 0.1)
# For a printer that will say nothing more.
NEVER_S = 0.05
NOWHERE = "network:127.0.0.1:1"
BYTES = len(encode(receipt(1), WIDTH_58_MM))
ASKED_BYTES = 3  # the question whether it has paper comes before


class Killed(BaseException):
    """The program is gone."""


class KilledQueue(PrintQueue):
    """Is killed at its n-th write of a state, just before or just after it is on disk."""

    kill_at: int | None = None
    after = False

    def keep(self, job: Job) -> None:
        """See PrintQueue."""
        if self.kill_at is not None:
            self.kill_at -= 1
            if self.kill_at < 0 and not self.after:
                raise Killed
        super().keep(job)
        if self.kill_at is not None and self.kill_at < 0:
            raise Killed


class Machine(RuleBasedStateMachine):
    """Any order of asking, printing, dying, losing and starting again."""

    @initialize()
    def switch_on(self) -> None:
        """An empty folder, paper in the printer."""
        self.folder = tempfile.TemporaryDirectory()
        self.printer = VirtualPrinter()
        self.now_ms, self.head = START_MS, 0
        self.queue = self.start()

    def start(self) -> KilledQueue:
        file = Path(self.folder.name) / "receipts.db"
        return KilledQueue(file, place(self.head), lambda: self.now_ms)

    def turn(self, path: str | None = None) -> None:
        """What the printer's thread does once, until it is killed if it is."""
        path = path or self.printer.network
        try:
            PrintSupervisor(path, WIDTH_58_MM, self.queue, SOON, NEVER_S).turn()
        except Killed:
            self.queue.close()
            self.queue = self.start()

    @rule(seq=st.integers(1, 2))
    def ask(self, seq: int) -> None:
        self.head = max(self.head, seq)
        self.queue.ask(place(seq), receipt(seq))

    @rule()
    def print(self) -> None:
        self.printer.paper.dies_after = None
        self.printer.paper.has_paper = True
        self.turn()

    @rule(sent=st.integers(1, BYTES))
    def print_and_lose_the_printer(self, sent: int) -> None:
        self.printer.paper.has_paper = True
        self.printer.paper.dies_after = ASKED_BYTES + sent
        self.turn()
        self.printer.paper.dies_after = None

    @rule(kill_at=st.integers(0, 1), after=st.booleans(), dies=st.booleans())
    def print_and_be_killed(self, kill_at: int, *, after: bool, dies: bool) -> None:
        self.queue.kill_at, self.queue.after = kill_at, after
        self.printer.paper.dies_after = ASKED_BYTES + BYTES // 2 if dies else None
        self.turn()
        self.queue.kill_at = self.printer.paper.dies_after = None

    @rule()
    def print_without_paper(self) -> None:
        self.printer.paper.has_paper = False
        self.turn()

    @rule()
    def print_without_a_printer(self) -> None:
        self.turn(NOWHERE)

    @rule()
    def let_time_pass(self) -> None:
        self.now_ms += WAITS_MS + 1

    @precondition(lambda self: self.head)
    @rule()
    def lose_the_queue(self) -> None:
        self.queue.close()
        file = Path(self.folder.name) / "receipts.db"
        file.write_bytes(b"broken" * 999)
        self.queue = self.start()

    @invariant()
    def no_receipt_has_two_originals(self) -> None:
        if hasattr(self, "printer"):
            originals = [head for head, copy in begun(self.printer.paper) if not copy]
            assert len(originals) == len(set(originals)), self.printer.paper.lines

    def teardown(self) -> None:
        if hasattr(self, "printer"):
            self.printer.close()
            self.queue.close()
            self.folder.cleanup()


Machine.TestCase.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
TestAnyOrderOfEvents = Machine.TestCase


@pytest.fixture(name="queue")
def _queue(tmp_path: Path) -> Iterator[PrintQueue]:
    queue = open_queue(tmp_path)
    yield queue
    queue.close()


@pytest.fixture(name="printer")
def _printer() -> Iterator[VirtualPrinter]:
    printer = VirtualPrinter()
    yield printer
    printer.close()


@pytest.fixture(name="path")
def _path(tmp_path: Path, printer: VirtualPrinter) -> Path:
    """A device that can be another printer later, as one that is pushed in again is."""
    path = tmp_path / "lp0"
    path.symlink_to(printer.serial.removeprefix("serial:"))
    return path


@pytest.fixture(name="supervisor")
def _supervisor(path: Path, queue: PrintQueue) -> Iterator[PrintSupervisor]:
    supervisor = PrintSupervisor(f"serial:{path}", WIDTH_58_MM, queue, SOON, SOON_S)
    supervisor.start()
    yield supervisor
    supervisor.stop()
    assert supervisor.health is PrinterHealth.STOPPED


def ask(queue: PrintQueue, supervisor: PrintSupervisor, seq: int) -> None:
    queue.ask(place(seq), receipt(seq))
    supervisor.wake()


def wait_state(queue: PrintQueue, seq: int, state: JobState) -> None:
    def holds() -> bool:
        job = queue.known(f"t-1-{seq}")
        return job is not None and job.state is state

    wait_until(holds, f"receipt {seq} {state}")


def wait_health(supervisor: PrintSupervisor, health: PrinterHealth) -> None:
    wait_until(lambda: supervisor.health is health, f"the printer {health}")


def test_receipts_come_out_as_they_are_asked(
    queue: PrintQueue, supervisor: PrintSupervisor, printer: VirtualPrinter
) -> None:
    wait_health(supervisor, PrinterHealth.READY)
    for seq in (1, 2):
        ask(queue, supervisor, seq)
    wait_state(queue, 2, JobState.PRINTED)
    assert begun(printer.paper) == [("No 1", False), ("No 2", False)]
    ask(queue, supervisor, 1)
    wait_state(queue, 1, JobState.PRINTED)
    assert printer.paper.lines.count("补打 COPY 1") == 2


def test_a_printer_in_trouble_is_tried_more_and_more_rarely(
    queue: PrintQueue, printer: VirtualPrinter
) -> None:
    lost = PrintSupervisor(NOWHERE, WIDTH_58_MM, queue, SOON)
    queue.ask(place(1), receipt(1))
    assert [lost.turn() for _ in range(5)] == [0.02, 0.04, 0.08, 0.1, 0.1]
    assert lost.health is PrinterHealth.LOST
    found = PrintSupervisor(printer.network, WIDTH_58_MM, queue, SOON)
    assert [found.turn(), found.turn()] == [0.0, LOOK_S]
    assert found.health is PrinterHealth.READY


def test_a_queue_that_cannot_be_opened_is_trouble_told_of_once(
    tmp_path: Path, printer: VirtualPrinter, caplog: pytest.LogCaptureFixture
) -> None:
    in_its_place = tmp_path / "receipts.db"
    in_its_place.mkdir()
    queue = open_queue(tmp_path)
    supervisor = PrintSupervisor(printer.network, WIDTH_58_MM, queue, SOON)
    assert [supervisor.turn() for _ in range(3)] == [0.02, 0.04, 0.08]
    wait_health(supervisor, PrinterHealth.LOST)
    assert [each.message[:16] for each in caplog.records] == ["receipts_refused"]
    in_its_place.rmdir()
    assert supervisor.turn() == LOOK_S
    wait_health(supervisor, PrinterHealth.READY)
    queue.ask(place(1), receipt(1))
    assert supervisor.turn() == 0.0
    assert begun(printer.paper) == [("No 1", False)]
    queue.close()


def test_without_paper_receipts_wait(
    queue: PrintQueue, supervisor: PrintSupervisor, printer: VirtualPrinter
) -> None:
    printer.paper.has_paper = False
    ask(queue, supervisor, 1)
    wait_health(supervisor, PrinterHealth.PAPER)
    printer.paper.has_paper = True
    wait_state(queue, 1, JobState.PRINTED)
    assert begun(printer.paper) == [("No 1", False)]
    wait_health(supervisor, PrinterHealth.READY)


def test_a_printer_unplugged_in_the_middle_and_pushed_in_again(
    queue: PrintQueue, supervisor: PrintSupervisor, printer: VirtualPrinter, path: Path
) -> None:
    printer.paper.dies_after = ASKED_BYTES + BYTES // 2
    ask(queue, supervisor, 1)
    wait_state(queue, 1, JobState.PRINTING)
    wait_until(lambda: printer.paper.dies_after == 0, "half a receipt")
    path.unlink()
    printer.close()
    wait_state(queue, 1, JobState.UNKNOWN)
    wait_health(supervisor, PrinterHealth.LOST)
    ask(queue, supervisor, 2)

    other = VirtualPrinter(Paper())
    path.symlink_to(other.serial.removeprefix("serial:"))
    wait_state(queue, 2, JobState.PRINTED)
    assert begun(other.paper) == [("No 2", False)]
    ask(queue, supervisor, 1)
    wait_state(queue, 1, JobState.PRINTED)
    assert begun(other.paper)[1:] == [("No 1", True)]
    supervisor.stop()
    other.close()
