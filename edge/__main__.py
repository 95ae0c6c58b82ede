"""The command tapledger-edge: runs the agent, checks its configuration, looks into its journal."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from edge import config
from edge.config import Settings
from protocol.errors import ProductError

CONFIGURATION = Path("/etc/tapledger/edge.toml")
# sysexits(3): what systemd's RestartPreventExitStatus may name.
EXIT_CONFIGURATION = 78


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return the exit status."""
    chosen = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        settings = config.load(chosen.config)
        status: int = chosen.run(settings)
    except ProductError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIGURATION if error.code == "bad_config" else 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tapledger-edge", description=__doc__)
    parser.add_argument(
        "--config", type=Path, default=CONFIGURATION, metavar="FILE", help="default: %(default)s"
    )
    parser.set_defaults(run=_run)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    commands.add_parser("run", help="serve taps until stopped (the default)").set_defaults(run=_run)
    commands.add_parser(
        "check-config", help="say whether the configuration and every file it names can be used"
    ).set_defaults(run=_check_config)
    journal = commands.add_parser("journal", help="look into the journal; the agent may be running")
    looks = journal.add_subparsers(title="commands", metavar="COMMAND", required=True)
    looks.add_parser("stats", help="records by kind, and how far the ledger has them").set_defaults(
        run=_stats
    )
    looks.add_parser("verify", help="check every link and every signature").set_defaults(
        run=_verify
    )
    receipt = looks.add_parser("receipt", help="say which record the code on a receipt names")
    receipt.add_argument(
        "run", metavar="CODE", type=_receipt_of, help="what a scanner reads from it"
    )
    return parser


def _run(settings: Settings) -> int:
    from edge.wiring import Terminal, only_agent

    with only_agent(settings):
        terminal = Terminal(settings, os.environ)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: terminal.agent.stop())
        # What was made until here stays: the collector need not look at it again at each tap.
        gc.collect()
        gc.freeze()
        terminal.run()
    return 0


def _check_config(settings: Settings) -> int:
    from edge.wiring import check

    check(settings)
    print(f"{settings.file}: good, terminal {settings.at.terminal}")
    return 0


def _stats(settings: Settings) -> int:
    from edge.inspection import stats
    from edge.wiring import JOURNAL

    print(stats(settings.data(JOURNAL)))
    return 0


def _verify(settings: Settings) -> int:
    from edge.inspection import verify
    from edge.keys import load_keys
    from edge.wiring import JOURNAL

    print(verify(settings.data(JOURNAL), load_keys(settings).owner))
    return 0


def _receipt_of(code: str) -> Callable[[Settings], int]:
    """The command that looks for the record of ``code``."""

    def look(settings: Settings) -> int:
        from edge.inspection import confirm
        from edge.wiring import JOURNAL

        print(confirm(settings.data(JOURNAL), code))
        return 0

    return look


if __name__ == "__main__":
    sys.exit(main())
