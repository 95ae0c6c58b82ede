"""`run.py fuzz`: each target for a minute, and what it found as lines for the corpus."""

from __future__ import annotations

import argparse
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from random import Random
from types import FrameType

from tests.fuzz.target import CORPUS, Explorer, Target
from tests.fuzz.targets import TARGETS

SECONDS = 60.0
# One input takes milliseconds; one that takes longer than this hangs.
HANGS_S = 10


class Hangs(Exception):
    """An input that is not done in time."""


def main(arguments: Sequence[str]) -> int:
    """Return 0 when nothing was found, else 1."""
    parser = argparse.ArgumentParser(prog="run.py fuzz", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=sorted(TARGETS), default=None)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each target")
    parser.add_argument("--seed", type=int, default=None, help="repeats a run")
    options = parser.parse_args(arguments)
    seed = time.time_ns() if options.seed is None else options.seed
    signal.signal(signal.SIGALRM, _hang)
    faults = 0
    for name in options.only or TARGETS:
        faults += not _survives(name, TARGETS[name], Random(seed), options.seconds)
    print(f"{faults} targets with faults; seed {seed}")
    return 1 if faults else 0


def _hang(_signal: int, _frame: FrameType | None) -> None:
    raise Hangs


def _survives(name: str, target: Target, random: Random, seconds: float) -> bool:
    """Run one target until its time is over or it fails; say how far it came."""
    end, count = time.monotonic() + seconds, 0
    explorer = Explorer(target, random)
    while time.monotonic() < end:
        signal.alarm(HANGS_S)
        try:
            explorer.step()
        except Exception:  # noqa: BLE001 - whatever it is, it is the find
            traceback.print_exc()
            print(f"{name}: FAULT after {count} inputs; for {CORPUS.name}/{name}.txt:")
            print(explorer.data.hex(), flush=True)
            return False
        finally:
            signal.alarm(0)
        count += 1
    print(f"{name}: {count} inputs, {len(explorer.outcomes)} outcomes", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
