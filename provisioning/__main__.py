"""The technician's commands: authority, broker, terminal, card; and the demo.

Everything it makes is written into the folder that is named, for the folder's owner alone.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import NoReturn

import typer

from protocol.errors import ProductError
from provisioning.commands import authority, broker, card, terminal
from provisioning.demo import commands as day

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
app.add_typer(authority.app, name="authority")
app.add_typer(broker.app, name="broker")
app.add_typer(terminal.app, name="terminal")
app.add_typer(card.app, name="card")
app.command("demo")(day.demo)
app.command("up")(day.up)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command; a person sees a product error as one line, with its code."""
    signal.signal(signal.SIGTERM, _interrupt)  # whoever ends us, our children end too
    try:
        app(prog_name="tapledger-provision")
    except ProductError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
