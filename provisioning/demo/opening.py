"""Opens the shop: prices and members at every terminal; and asks whether that is so."""

from __future__ import annotations

import time

from protocol.rules.bundle import Bundle
from provisioning.demo import catalogue
from provisioning.demo.readings import list_version, progress
from provisioning.demo.residents import TENANT
from provisioning.demo.town import Town
from provisioning.processes import wait_until

# Prices and members reach a terminal in well under a second; a busy machine may take longer.
REACH_S = 30.0


def now_ms() -> int:
    """The wall clock that terminals and cloud of one machine share."""
    return time.time_ns() // 1_000_000


def publish(town: Town, bundle: Bundle) -> None:
    """Have the cloud sign a bundle and send it to every terminal."""
    api = town.api()
    try:
        api.post("/v1/bundles", catalogue.document(bundle))
    finally:
        api.close()


def is_current(town: Town) -> bool:
    """Whether the ledger has receipted everything and every terminal knows what it knows."""
    version = list_version(town.ledger)
    each = [progress(terminal.folder) for terminal in town.terminals.values()]
    return all(it.head_seq == it.acked_seq and it.list_version == version for it in each)


def open_shop(town: Town) -> Bundle:
    """Publish the morning's prices; return them once every terminal can serve every member."""
    bundle = catalogue.morning(TENANT, now_ms())
    publish(town, bundle)
    tills = [terminal.till() for terminal in town.terminals.values()]
    try:
        wait_until(lambda: all(till.is_ready() for till in tills), REACH_S, "prices everywhere")
        wait_until(lambda: is_current(town), REACH_S, "members at every terminal")
    finally:
        for till in tills:
            till.close()
    return bundle
