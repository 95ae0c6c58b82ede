"""Opens the shop: prices and members at every terminal, money on their cards if wanted.

And asks whether that is so.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from protocol.rules.bundle import Bundle
from provisioning.demo import catalogue
from provisioning.demo.counter import Counter
from provisioning.demo.plan import MEMBER_CARDS
from provisioning.demo.readings import list_version, progress
from provisioning.demo.residents import TENANT, HeldCard
from provisioning.demo.town import Terminal, Town
from provisioning.processes import wait_until

# Prices and members reach a terminal in well under a second; a busy machine may take longer.
REACH_S = 30.0
# What each member pays in before a visitor comes: a few purchases, minor units.
FIRST_TOP_UP = 20_000


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


def fill_cards(town: Town) -> None:
    """Have every member pay in at a counter, with real taps; return once all terminals know."""
    members = [name for name, held in town.cards.items() if held.member]
    terminals = list(town.terminals.values())
    with ThreadPoolExecutor(len(terminals)) as counters:
        queues = _queues(members, terminals)
        served = [
            counters.submit(_pay_in, terminal, town.cards, queue)
            for terminal, queue in zip(terminals, queues, strict=True)
        ]
        for each in served:
            each.result()
    wait_until(lambda: is_current(town), REACH_S, "balances at every terminal")


def _queues(members: list[str], terminals: list[Terminal]) -> list[list[str]]:
    """Each member at a terminal that reads what they carry, in turn."""
    contacts = [each.at.terminal for each in terminals if each.slot.slow]
    queues: list[list[str]] = [[] for _ in terminals]
    for name in members:
        there = [
            queue
            for queue, terminal in zip(queues, terminals, strict=True)
            if MEMBER_CARDS[name].goes_to(terminal.at.terminal, contacts)
        ]
        min(there, key=len).append(name)
    return queues


def _pay_in(terminal: Terminal, cards: Mapping[str, HeldCard], members: list[str]) -> None:
    counter = Counter(terminal, cards)
    try:
        for name in members:
            order = {"kind": "top_up", "amount": FIRST_TOP_UP, "method": "cash"}
            counter.ask(f"opening.{name}", name, order)
    finally:
        counter.close()
