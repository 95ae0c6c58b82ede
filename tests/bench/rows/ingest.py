"""Raw batches to committed entries in one process, beside the bare insert of the same rows.

The ledger decodes, checks chain and signature, looks for repeats, prices each basket again, folds,
posts and commits; the floor only writes the rows that came out, in the same transactions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

from sqlalchemy import insert

from cloud.ledger.chains import Batch
from cloud.ledger.ingest import Plan
from cloud.ledger.transaction import Ledger
from cloud.storage import counters
from cloud.storage.engine import Database, open_database
from cloud.storage.migration import migrate
from cloud.storage.schema import cards, members, states
from cloud.storage.states import COLUMNS, columns_of
from cloud.storage.unit_of_work import unit_of_work
from cloud.wiring import calm_collector
from protocol.membership.state import EMPTY
from tests.bench.row import Bench, Progress, Row, Unavailable, median, seconds
from tests.cloud.town import CURRENCY, MORNING_MS, Till, Town, build_town, issued_card
from tests.services.postgres import running_postgres

MEMBERS, TERMINALS = 20_000, 8
ROUNDS, BATCHES, RECORDS = 5, 160, 50
# What the gateway hands over at most in one transaction.
TOGETHER = 64
SQLITE_BAR, POSTGRES_BAR = 10_000, 6_000


def measure(folder: Path, progress: Progress) -> Sequence[Row]:
    """Median of ROUNDS rounds on each database."""
    files = [open_database(f"sqlite:///{folder}/{name}.db") for name in ("ledger", "floor")]
    rows = [*_on("SQLite", files[0], files[1], SQLITE_BAR, progress)]
    if not list(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        raise Unavailable("Debian's postgresql")
    with running_postgres() as server:
        bases = [open_database(server.new_database()) for _ in range(2)]
        rows += _on("PostgreSQL", bases[0], bases[1], POSTGRES_BAR, progress)
        for base in bases:
            base.close()
    return rows


def _on(
    name: str, database: Database, floor: Database, bar: float, progress: Progress
) -> Sequence[Row]:
    progress(f"{name}: {MEMBERS:,} members, twice")
    tills = _town(database)
    _town(floor)
    ledger = Ledger(database, CURRENCY, lambda: MORNING_MS)
    calm_collector()  # as the cloud does when it serves
    rates, floors = list[float](), list[float]()
    for number in range(ROUNDS + 1):
        batches = _batches(tills, Random(number))
        parts = [batches[at : at + TOGETHER] for at in range(0, len(batches), TOGETHER)]
        made: list[Plan] = []

        def ingest(parts: list[list[Batch]] = parts, made: list[Plan] = made) -> None:
            for part in parts:
                made.extend(ledger.ingest(part).made)

        def write(made: list[Plan] = made) -> None:
            for plan in made:
                with unit_of_work(floor) as unit:
                    unit.write(plan, MORNING_MS)

        records = BATCHES * RECORDS
        rate, bare = records / seconds(ingest), records / seconds(write)
        if number:  # the first round fills caches
            progress(f"{name}: {rate:,.0f}/s, bare {bare:,.0f}/s")
            rates.append(rate)
            floors.append(bare)
    share = median([rate / bare for rate, bare in zip(rates, floors, strict=True)])
    floor_text = f"bare insert {median(floors):,.0f}/s, share {share:.0%}"
    return (
        Row(
            name=f"ingest, {name}",
            value=median(rates),
            unit="records/s",
            bar=bar,
            at_most=False,
            floor=floor_text,
        ),
    )


def _town(database: Database) -> list[Till]:
    migrate(database)
    town: Town = build_town(database)
    _add_members(database)
    tills = [town.add_till(f"t-{number}") for number in range(TERMINALS)]
    ledger = Ledger(database, CURRENCY, lambda: MORNING_MS)
    ledger.ingest([till.batch(till.open()) for till in tills])
    return tills


def _add_members(database: Database) -> None:
    """As Town.add_members, in three statements."""
    names = [f"m-{number:06}" for number in range(MEMBERS)]
    empty = dict(zip(COLUMNS, columns_of(EMPTY), strict=True))
    with database.write() as connection:
        first = counters.take(connection, counters.LIST_VERSION, MEMBERS)
        connection.execute(
            insert(members), [{"member": n, "name": n, "created_ms": MORNING_MS} for n in names]
        )
        connection.execute(
            insert(states),
            [
                {"member": name, "list_version": first + place, **empty}
                for place, name in enumerate(names)
            ],
        )
        connection.execute(insert(cards), [issued_card(name)._asdict() for name in names])


def _batches(tills: list[Till], random: Random) -> list[Batch]:
    """Sales of two lines by members drawn at random, from all terminals in turn."""
    batches = []
    for number in range(BATCHES):
        till = tills[number % len(tills)]
        sales = []
        for _ in range(RECORDS):
            first, second = random.sample(range(20), 2)
            items = ((f"p-{first}", random.randrange(1, 4)), (f"p-{second}", 1))
            sales.append(till.sale(f"m-{random.randrange(MEMBERS):06}", *items))
        batches.append(till.batch(*sales))
    return batches


BENCH = Bench("Ingest", 3, measure)
