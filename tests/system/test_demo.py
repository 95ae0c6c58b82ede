"""The demo's day, whole; then the same disks with faults planted into them, each found."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import pytest

from protocol.membership.event import CARD_PURSE, STORED_VALUE
from protocol.record import read
from provisioning.demo.plan import EARN_ONLY, KINDS, TERMINALS
from provisioning.demo.readings import JOURNAL, TERMINALS_FOLDER, journals
from provisioning.demo.stage import judge_folder
from provisioning.demo.town import LEDGER
from provisioning.processes import wait_until
from tests.services.broker import BOTH_BROKERS

pytestmark = pytest.mark.timeout(300)
TAPS = 120
# It takes half a minute; two brokers' days at once on a busy machine take longer.
DAY_S = 240
KEYS = {
    "taps",
    "records",
    "posted",
    "lost",
    "twice",
    "unbalanced",
    "balances_differ",
    "chain_gaps",
    "tap_ms",
    "drain_s",
}
FAMILIES = {
    "cpu",
    "desfire",
    "em4100",
    "felica",
    "felica_standard",
    "file_card",
    "mifare_classic",
    "ntag424",
    "pboc_purse",
    "qr_credential",
    "uid_only",
    "ultralight",
}
ZERO = (
    "lost",
    "twice",
    "unbalanced",
    "balances_differ",
    "chain_gaps",
    "price_wrong",
    "forks",
    "takings_differ",
    "purses_differ",
    "taps_unexplained",
)


def _live_a_day(folder: Path, broker: str) -> dict[str, object]:
    """Run the demo as a person does; its folder is ``folder``/town."""
    document, town = folder / "verdict.json", folder / "town"
    command = [sys.executable, "-m", "provisioning", "demo", "--exit", "--taps", str(TAPS)]
    command += ["--folder", str(town), "--json", str(document), "--broker", broker]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DAY_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, object] = json.loads(document.read_text())
    return found


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a day that was lived through on NATS."""
    folder = tmp_path_factory.mktemp("day")
    verdict = _live_a_day(folder, "nats")
    assert verdict.keys() >= KEYS
    assert verdict["taps"] == TAPS
    families = verdict["families"]
    assert isinstance(families, dict)
    assert families.keys() == set(KINDS)
    assert {key: verdict[key] for key in ZERO} == dict.fromkeys(ZERO, 0)
    return folder / "town"


@pytest.mark.parametrize("broker", BOTH_BROKERS[1:])
def test_a_day_on_the_other_broker(tmp_path: Path, broker: str) -> None:
    verdict = _live_a_day(tmp_path, broker)
    assert {key: verdict[key] for key in ZERO} == dict.fromkeys(ZERO, 0)
    assert verdict["overdrawn"]


@pytest.mark.broker_nats
def test_the_day_held_and_its_disks_say_so_again(town: Path) -> None:
    verdict = judge_folder(town)
    assert verdict.holds
    assert verdict.taps == TAPS
    assert verdict.records == verdict.posted > TAPS
    assert verdict.overdrawn >= 1
    assert verdict.torn == 1
    assert set(verdict.families) == FAMILIES


@pytest.mark.broker_nats
def test_a_number_earned_and_never_paid(town: Path) -> None:
    earned, paid = Counter[str](), 0
    for data in chain.from_iterable(journal.records for journal in journals(town)):
        record = read(data)[0].record
        if record.card and record.card.family in EARN_ONLY:
            earned[record.card.family] += record.earned
            paid += record.paid_by(STORED_VALUE) + record.paid_by(CARD_PURSE)
    assert all(earned[family] for family in EARN_ONLY)
    assert paid == 0


def _ledger(statement: str) -> Callable[[Path], None]:
    def plant(town: Path) -> None:
        _change(town / LEDGER, statement)

    return plant


def _journal(statement: str) -> Callable[[Path], None]:
    def plant(town: Path) -> None:
        _change(town / TERMINALS_FOLDER / "t-0001" / JOURNAL, statement)

    return plant


def _change(database: Path, statement: str) -> None:
    connection = sqlite3.connect(database)
    with connection:
        changed = connection.execute(statement).rowcount
    connection.close()
    assert changed > 0


_A_SALE = "(SELECT max(place) FROM entries WHERE account LIKE 'sales:%')"


@pytest.mark.broker_nats
@pytest.mark.parametrize(
    ("plant", "key"),
    [
        (_ledger(f"DELETE FROM records WHERE place = {_A_SALE}"), "lost"),
        (_ledger(f"DELETE FROM entries WHERE place = {_A_SALE}"), "lost"),
        (
            _ledger(
                "INSERT INTO entries SELECT place, line + 100, account, unit, amount"
                f" FROM entries WHERE place = {_A_SALE}"
            ),
            "twice",
        ),
        (
            _ledger(
                f"UPDATE entries SET amount = amount + 1 WHERE place = {_A_SALE}"
                " AND account LIKE 'sales:%'"
            ),
            "unbalanced",
        ),
        (
            _ledger("UPDATE balances SET amount = amount - 1 WHERE account LIKE 'principal:%'"),
            "balances_differ",
        ),
        (_ledger("UPDATE records SET data = x'00' WHERE kind = 10"), "chain_gaps"),
        (_journal("DELETE FROM records WHERE kind = 12"), "chain_gaps"),
        (_journal("DELETE FROM records WHERE kind = 1"), "taps_unexplained"),
        (_ledger("UPDATE terminals SET standing = 2"), "forks"),
        (
            _ledger("UPDATE entries SET account = 'purse:00' WHERE account LIKE 'purse:%'"),
            "purses_differ",
        ),
    ],
)
def test_a_fault_planted_on_disk_is_found(
    town: Path, tmp_path: Path, plant: Callable[[Path], None], key: str
) -> None:
    copied = tmp_path / "town"
    shutil.copytree(town, copied)
    plant(copied)
    verdict = judge_folder(copied)
    assert getattr(verdict, key) > 0
    assert not verdict.holds


@pytest.mark.broker_nats
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_demo_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    # A shell that runs these tests in the background has SIGINT ignored, for all that they start.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "provisioning"]
    command += ["demo", "--exit", "--folder"]
    with subprocess.Popen(
        [*command, str(tmp_path / "town")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as demo:
        seen: set[int] = set()

        def agents_run() -> bool:
            seen.update(_descendants(demo.pid))
            return all((tmp_path / f"town/logs/{name}.log").exists() for name in TERMINALS)

        wait_until(agents_run, DAY_S, "the agents' start")
        seen.update(_descendants(demo.pid))
        demo.send_signal(number)
        demo.communicate(timeout=DAY_S)
    assert demo.returncode != 0
    assert len(seen) >= 4
    wait_until(lambda: not any(_runs(pid) for pid in seen), 10, "the end of all")


def _runs(pid: int) -> bool:
    """Whether a process has not ended; who should reap it, once its parent was killed, may not."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return "\nState:\tZ" not in status


def _descendants(pid: int) -> set[int]:
    """Processes started by ``pid``, theirs, and so on."""
    found: set[int] = set()
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            children = {int(child) for child in file.read_text().split()}
            found |= children.union(*(_descendants(child) for child in children))
    return found
