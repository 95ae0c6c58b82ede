"""Messages of tags, verified and counted on the disk, of one process; HTTP is left out.

LRP is shown beside, verified alone: it is some hundred AES blocks, one by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import perf_counter

from cloud.cards.counters import TagCounters
from cloud.cards.model import TagMessages
from cloud.storage.engine import Database, open_database
from cloud.storage.migration import migrate
from protocol.sun import SunMode
from tests.bench.row import Bench, Progress, Row, median, seconds
from tests.cloud.cards.tags import ESTATE, Tag
from tests.cloud.town import TENANT

BAR = 8_000
# A thousand tags in the shops of one tenant, each read again and again.
TAGS, ROUNDS, MESSAGES = 1_000, 5, 8_000
PHONES = 100  # that ask at the same time, each again once it is answered
LRP_MESSAGES = 100


def measure(folder: Path, progress: Progress) -> Sequence[Row]:
    """Median of ROUNDS rounds, each beside the same messages only verified."""
    database = open_database(f"sqlite:///{folder}/ledger.db")
    migrate(database)
    messages, tags = TagMessages(ESTATE, TENANT), [Tag(uid(n)) for n in range(TAGS)]
    rates, floors = list[float](), list[float]()
    for number in range(ROUNDS + 1):
        links = [f"?{tags[n % TAGS].read()}".encode() for n in range(MESSAGES)]
        counted = MESSAGES / seconds(partial(_show, database, messages, links))
        bare = MESSAGES / seconds(partial(_verify, messages, links))
        if number:  # the first round fills caches
            progress(f"{counted:,.0f}/s, verified alone {bare:,.0f}/s")
            rates.append(counted)
            floors.append(bare)
    database.close()
    progress("LRP")
    return [
        Row(
            name="SUN message, AES, verified and counted",
            value=median(rates),
            unit="/s",
            bar=BAR,
            at_most=False,
            floor=f"verified alone {median(floors):,.0f}/s",
        ),
        Row(name="SUN message, LRP, verified", value=_lrp(messages), unit="ms"),
    ]


def uid(number: int) -> bytes:
    """UID of the n-th tag."""
    return number.to_bytes(7, "big")


def _show(database: Database, messages: TagMessages, links: Sequence[bytes]) -> None:
    counters, left = TagCounters(database, messages, lambda: 0), iter(links)

    async def phone() -> None:
        for link in left:
            await counters.admit(link)

    async def phones() -> None:
        await asyncio.gather(*(phone() for _ in range(PHONES)))

    asyncio.run(phones())


def _verify(messages: TagMessages, links: Sequence[bytes]) -> None:
    for link in links:
        messages.read(link)


def _lrp(messages: TagMessages) -> float:
    tag = Tag(mode=SunMode.LRP)
    taken = []
    for _ in range(LRP_MESSAGES):
        link = f"?{tag.read()}".encode()
        start = perf_counter()
        messages.read(link)
        taken.append((perf_counter() - start) * 1e3)
    return median(taken)


BENCH = Bench("Messages of tags", 0.2, measure)
