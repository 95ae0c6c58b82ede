"""What the agent's tests share: keys, a bundle, members, a terminal's parts on a real disk."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from drivers.card import CardIdentity
from edge.agent import Agent, Parts
from edge.board import Board, Devices, Sources, last_words
from edge.board import Identity as Name
from edge.books import Books, Situation
from edge.cache import Cache
from edge.clock import Clock
from edge.commands import Commands
from edge.health import Notifier
from edge.inbox import Inbox, Trust
from edge.journal import Identity, Journal
from edge.link import LinkSettings, MqttLink, World
from edge.order import Item, Order, sale
from edge.ports import Link
from edge.relay import Relay
from edge.tap_flow import Book
from protocol import grant, member_list
from protocol.chain import extend
from protocol.grant import Grant, opening_head
from protocol.member_list import CardEntry, CardState, MemberList, Snapshot
from protocol.membership.state import State
from protocol.membership.tiers import Tier
from protocol.record import Card, CardClass, Record, read
from protocol.risk.limits import OfflineLimits
from protocol.rules import bundle
from protocol.rules.bundle import Bundle, Golden, Product, Published, Rule
from protocol.signing import Ed25519Signer
from protocol.topics import Address, address
from protocol.watermark import Standing

AT: Address = address("harbour", "site-1", "t-0001")
TERMINAL_KEY = Ed25519Signer(bytes(range(32)))
CLOUD_KEY = Ed25519Signer(bytes(range(1, 33)))
RULES_KEY = Ed25519Signer(bytes(range(2, 34)))
CLOUD_KEYS = {CLOUD_KEY.key_id: CLOUD_KEY.verifier}
RULES_KEYS = {RULES_KEY.key_id: RULES_KEY.verifier}
# Waits end as soon as their condition holds; the machine may be loaded.
SOON_S = 20.0
START_MS = 1_790_000_000_000
COFFEE, BUN = 500, 300
ONLINE, OFFLINE = Situation(online=True, closed=""), Situation(online=False, closed="")


def granted(epoch: int = 1, terminal: str = AT.terminal) -> bytes:
    """The cloud's permission to open ``epoch``."""
    return grant.issue(
        Grant(
            tenant=AT.tenant,
            site=AT.site,
            terminal=terminal,
            epoch=epoch,
            key_id=TERMINAL_KEY.key_id,
            issued_ms=START_MS,
        ),
        CLOUD_KEY,
    )


def owner(epoch: int = 1) -> Identity:
    """Whose journal it is."""
    return Identity(AT.terminal, epoch, granted(epoch), TERMINAL_KEY, TERMINAL_KEY.verifier)


def published(number: int = 1, activate_ms: int = 0, coffee: int = COFFEE) -> Published:
    """A bundle with coffee and buns; silver members get a tenth off."""
    return bundle.issue(
        Bundle(
            tenant=AT.tenant,
            number=number,
            activate_ms=activate_ms,
            currency="CNY",
            products=(
                Product("coffee", coffee, "咖啡", "Coffee"),
                Product("bun", BUN, "包子", "Bun"),
            ),
            rules=(
                Rule("silver10", "percent_off", {"basis_points": 1000, "tier": "silver"}),
                Rule("points", "points_per_spend", {"points": 1, "per": 100}),
            ),
            tiers=(Tier("basic", 0), Tier("silver", 100_000)),
            limits=OfflineLimits(count_max=3, amount_max=1_500),
            golden=(Golden("", (("coffee", 2),), 2 * coffee, 2 * coffee // 100),),
        ),
        RULES_KEY,
    )


def card(number: int = 1, assurance: CardClass = CardClass.SECURE) -> Card:
    """The n-th card, as a dialogue gives it."""
    return Card(number.to_bytes(16, "big"), "cpu", assurance)


def snapshot(
    number: int = 1,
    principal: int = 10_000,
    state: CardState = CardState.ACTIVE,
    qualifying: int = 0,
) -> Snapshot:
    """The n-th member, with the n-th card."""
    entry = CardEntry(card(number).reference, state)
    return Snapshot(f"m-{number}", (entry,), State(principal=principal, qualifying=qualifying))


def members(
    snapshots: Sequence[Snapshot], version: int = 1, base: int = 0, upto_seq: int = 0
) -> MemberList:
    """A list for the terminal."""
    return MemberList(
        terminal=AT.terminal,
        base=base,
        list_version=version,
        epoch=1,
        upto_seq=upto_seq,
        members=tuple(snapshots),
    )


def signed_members(news: MemberList) -> bytes:
    """The list as the cloud sends it."""
    return member_list.issue(news, CLOUD_KEY)


def coffee(order: str, quantity: int = 1) -> Order:
    """An order of coffee."""
    return sale(order, (Item("coffee", quantity),))


def tap(order: Order | None, number: int = 1) -> Book:
    """The n-th card for ``order``."""
    return Book(order, card(number), "")


@dataclass
class Time:
    """A clock that a test moves."""

    wall_ms: int = START_MS
    mono_ms: int = 1_000
    is_synchronised: bool = True
    clock: Clock = field(init=False)

    def __post_init__(self) -> None:
        self.clock = Clock(
            lambda: self.wall_ms / 1000,
            lambda: self.mono_ms / 1000,
            lambda: self.is_synchronised,
            b"bootboot",
        )

    def passes(self, milliseconds: int) -> None:
        """Move both clocks."""
        self.wall_ms += milliseconds
        self.mono_ms += milliseconds


def new_books(folder: Path, clock: Clock | None = None) -> Books:
    """The books in ``folder``, opened (again)."""
    journal = Journal(folder / "journal.db", owner())
    cache = Cache(folder / "cache.db")
    books = Books(journal, cache, clock or Time().clock, AT.terminal, os.urandom)
    books.open_epoch()
    return books


def stocked_books(folder: Path, clock: Clock | None = None) -> Books:
    """New books with one member and a bundle in force."""
    books = new_books(folder, clock)
    books.cache.apply(members([snapshot()]))
    books.list_changed()
    books.arm(published())
    return books


def close(books: Books) -> None:
    """Let go of both files."""
    books.journal.close()
    books.cache.close()


def wait_until(condition: Callable[[], object], what: str = "the condition") -> None:
    """Return once ``condition`` holds; fail after SOON_S."""
    end = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < end, f"{what} did not come true in {SOON_S} s"
        time.sleep(0.002)


def down_link() -> MqttLink:
    """A line that was never started: it takes nothing."""
    nowhere = Path("/nonexistent")
    return MqttLink(
        LinkSettings(at=AT, host="127.0.0.1", port=1, ca=nowhere, certificate=nowhere, key=nowhere),
        World(uniform=lambda: 0.5, mono_s=time.monotonic, session=lambda: "s", will=last_words),
    )


@dataclass
class Assembly:
    """An agent with real parts that a test can reach."""

    agent: Agent
    books: Books
    relay: Relay
    inbox: Inbox
    commands: Commands
    board: Board


def assemble(
    books: Books, clock: Clock, link: Link | None = None, certificate_ends_ms: int = 0
) -> Assembly:
    """Put an agent together over ``books``; without a link its line is down."""
    line = link or down_link()
    relay = Relay(books, clock, line, Standing.ACTIVE)
    commands = Commands(AT.terminal, CLOUD_KEYS, books, relay, clock)
    inbox = Inbox(AT, Trust(CLOUD_KEYS, RULES_KEYS), books, relay, line, commands)
    inbox.load()
    sources = Sources(
        books=books,
        relay=relay,
        commands=commands,
        inbox=inbox,
        link=line,
        clock=clock,
        devices=lambda: Devices("ready"),
        certificate_ends_ms=lambda: certificate_ends_ms,
    )
    board = Board(Name(AT.terminal, "test"), sources)
    parts = Parts(
        clock=clock,
        books=books,
        relay=relay,
        commands=commands,
        inbox=inbox,
        board=board,
        notifier=Notifier({}),
    )
    return Assembly(Agent(parts), books, relay, inbox, commands, board)


@contextmanager
def running(agent: Agent) -> Iterator[None]:
    """The agent's loop in a thread."""
    thread = threading.Thread(target=agent.run, name="agent")
    thread.start()
    try:
        yield
    finally:
        agent.stop()
        thread.join(SOON_S)
        assert not thread.is_alive()


def identity(number: int = 1) -> CardIdentity:
    """The n-th card, as the reader's thread tells of it."""
    return CardIdentity(family="cpu", assurance=CardClass.SECURE, reference=card(number).reference)


def records(books: Books) -> list[Record]:
    """Everything in the journal, with its chain checked."""
    sealed = [read(data)[0] for data in books.journal.read(1, 1_000)]
    assert extend(opening_head(1, granted()), sealed) == books.journal.head
    return [each.record for each in sealed]
