"""The command tapledger-cloud: serves API, console and gateway; keys, migrations, tokens, proof."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import structlog
import typer

from cloud import config
from cloud.http.identity import Role
from protocol.errors import ProductError

CONFIGURATION = Path("/etc/tapledger-cloud/cloud.toml")
# sysexits(3): what systemd's RestartPreventExitStatus may name.
EXIT_CONFIGURATION = 78

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)
token = typer.Typer(help="Tokens of people and programs.", no_args_is_help=True)
app.add_typer(token, name="token")


@app.callback()
def _configured(
    context: typer.Context,
    file: Annotated[
        Path, typer.Option("--config", metavar="FILE", help="Where cloud.toml is.")
    ] = CONFIGURATION,
) -> None:
    context.obj = file  # read by the command, so that --help needs none


def _settings(context: typer.Context) -> config.Settings:
    return config.load(context.obj)


@app.command()
def init(context: typer.Context) -> None:
    """Make the cloud's keys and its database; print one administrator's token, once."""
    from cloud import wiring

    first = wiring.initialise(_settings(context))
    print("keys and tables are made; this token is shown once and kept nowhere:")
    print(first)


@app.command()
def migrate(context: typer.Context) -> None:
    """Bring the database to this program's version."""
    from cloud import wiring
    from cloud.storage import migration

    migration.migrate(wiring.database_of(_settings(context)))
    print("the database has this program's version")


@app.command()
def restored(context: typer.Context) -> None:
    """Run once after the database was restored from a backup, before it is served again."""
    from cloud import wiring

    wiring.begin_feed(_settings(context))
    print("every terminal will take the whole list of members again, and keeps serving meanwhile;")
    print("records that the backup does not have are sent again by their terminals")


@token.command("create")
def create_token(
    context: typer.Context,
    role: Annotated[Role, typer.Option(help="What the holder may do.")],
    label: Annotated[str, typer.Option(help="Whose it is; stands in the records.")] = "",
) -> None:
    """Make a token and print it; only its hash is kept."""
    from cloud import wiring

    print(wiring.make_token(_settings(context), role, label or role.value))


@token.command("list")
def list_tokens(context: typer.Context) -> None:
    """List who has a token; the tokens themselves are kept nowhere."""
    from rich.console import Console
    from rich.table import Table

    from cloud import wiring

    table = Table("id", "role", "label", "made (UTC)", "ended (UTC)")
    for held in wiring.held_tokens(_settings(context)):
        times = (held.created_ms, held.revoked_ms)
        made, ended = (
            datetime.fromtimestamp(each / 1000, UTC).strftime("%Y-%m-%d %H:%M") if each else "–"
            for each in times
        )
        table.add_row(held.id, held.role.value, held.label, made, ended)
    Console().print(table)


@token.command("revoke")
def revoke_token(
    context: typer.Context,
    identity: Annotated[str, typer.Argument(metavar="ID", help="As token list shows it.")],
) -> None:
    """End a token at once, and whoever is logged in with it."""
    from cloud import wiring

    wiring.end_token(_settings(context), identity)
    print(f"{identity} and its sessions are ended")


@app.command()
def verify(context: typer.Context) -> None:
    """Check the whole ledger from its own bytes; ends with one line, and status 1 on a fault."""
    from rich.console import Console
    from rich.progress import Progress

    from cloud import wiring
    from cloud.keys import load_estate
    from cloud.ledger.verify import verify_ledger
    from cloud.storage.migration import check_version

    settings = _settings(context)
    database, currency = wiring.database_of(settings), settings.config.currency
    estate = None if settings.estate is None else load_estate(settings.estate)
    with (
        Progress(console=Console(stderr=True), transient=True) as bar,
        database.read(patient=True) as view,
    ):
        check_version(view)
        task = bar.add_task("records")
        verdict = verify_ledger(
            view, currency, lambda done, of: bar.update(task, completed=done, total=of), estate
        )
    for fault in verdict.faults:
        print(fault)
    print(verdict.line)
    raise typer.Exit(1 if verdict.wrong else 0)


@app.command()
def serve(context: typer.Context) -> None:
    """Serve until stopped."""
    import uvicorn

    from cloud import wiring

    settings = _settings(context)
    http = settings.config.http
    with wiring.cloud_of(settings) as application:
        uvicorn.run(
            application,
            host=http.host,
            port=http.port,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
        )


def main() -> None:
    """Run the command; a person sees a product error as one line, with its code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # A traceback with the values of variables would write keys and tokens into the log.
            structlog.dev.ConsoleRenderer(
                colors=False, exception_formatter=structlog.dev.plain_traceback
            ),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        app(prog_name="tapledger-cloud")
    except ProductError as error:
        print(error, file=sys.stderr)
        sys.exit(EXIT_CONFIGURATION if error.code == "bad_config" else 1)


if __name__ == "__main__":
    main()
