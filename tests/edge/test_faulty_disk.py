"""A disk that fails at any call never leads to an approved tap without its record."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.json import decode

from edge.inspection import verify
from edge.order import AnswerState
from run import ROOT
from tests.edge.faulty_disk import ORDERS, STRACE_WHEN, Told
from tests.edge.world import close, new_books, owner

# Calls of one case, from opening the files to the last order, are fewer.
CASES = {"pwrite64": 145, "fdatasync": 38}
# A disk that works again is taken up again at once; one that stays broken need not be waited for.
PATIENCE_S = {"": 20.0, "+": 0.1}


@pytest.mark.strace
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("call", "error", "repeats"),
    [
        ("fdatasync", "EIO", ""),
        ("fdatasync", "EIO", "+"),
        ("pwrite64", "EIO", ""),
        ("pwrite64", "ENOSPC", "+"),
    ],
)
def test_a_failing_call_never_leads_to_approved(
    tmp_path: Path, call: str, error: str, repeats: str
) -> None:
    cases = CASES[call]
    inject = f"inject={call}:error={error}:when={STRACE_WHEN}{repeats}"
    work = [str(tmp_path), call, str(cases), str(PATIENCE_S[repeats])]
    strace = ["strace", "-f", "-qq", "--seccomp-bpf", "-o", os.devnull, "-e", f"trace={call}"]
    subprocess.run(
        [*strace, "-e", inject, sys.executable, "-m", "tests.edge.faulty_disk", *work],
        check=True,
        cwd=ROOT,
        capture_output=True,
    )
    heard = [judged(tmp_path / str(number), once=not repeats) for number in range(cases)]
    assert any(told.refusals for told in heard), "the fault was never met by an agent at work"
    assert len([told for told in heard if told.failed]) > 2, "no start failed"
    assert (heard[-1].refusals, heard[-1].failed) == (0, ""), "a last case lies behind all calls"


def judged(place: Path, *, once: bool) -> Told:
    """Compare what the till was told with what the disk holds, and how the agent went on."""
    told = decode((place / "told.json").read_bytes(), type=Told)
    books = new_books(place)
    records = [record for record in books.journal.since(0, 0) if record.order]
    close(books)
    on_disk = {record.order: record.tid.hex() for record in records}
    assert len(on_disk) == len(records), "an order was booked twice"
    answered = {answer.order: answer.tid for answer in told.answers if answer.tid}
    assert answered.items() <= on_disk.items(), "answered, and not on disk"
    approved = {a.order for a in told.answers if a.state is AnswerState.APPROVED}
    assert approved <= answered.keys(), "approved without a record"
    verify(place / "journal.db", owner())
    if once and not told.failed:
        assert answered.keys() == set(ORDERS), "a disk that works again was not taken up again"
    return told
