"""What the cloud says: verified, applied once, and refused by a code when it is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from edge.clock import AHEAD_MS
from edge.sync_flow import LineUp, Phase
from protocol import command, member_list, shadow, watermark
from protocol.chain import Head
from protocol.codec import decode
from protocol.command import Command, CommandDone, Verb
from protocol.member_list import MemberList
from protocol.record import Kind
from protocol.rules import bundle
from protocol.rules.bundle import Bundle, Golden, Product, Rule
from protocol.shadow import Desired, Reported
from protocol.signing import SigningKey
from protocol.topics import Down, Up
from protocol.watermark import Standing, Watermark
from tests.edge.world import (
    AT,
    CLOUD_KEY,
    RULES_KEY,
    START_MS,
    Assembly,
    Time,
    assemble,
    close,
    members,
    new_books,
    published,
    signed_members,
    snapshot,
)


@pytest.fixture
def terminal(tmp_path: Path, time_: Time) -> Iterator[Assembly]:
    books = new_books(tmp_path, time_.clock)
    yield assemble(books, time_.clock)
    close(books)


def mark(head: Head, terminal: str = AT.terminal, **fields: object) -> bytes:
    """A signed watermark."""
    facts = {"epoch": head.epoch, "upto_seq": head.seq, "head_hash": head.hash, **fields}
    told = Watermark(**{"terminal": terminal, "server_ms": START_MS, **facts})  # type: ignore[arg-type]
    return watermark.issue(told, CLOUD_KEY)


def commanded(
    verb: Verb = Verb.LOCK,
    number: int = 1,
    terminal: str = AT.terminal,
    not_after_ms: int = START_MS + 60_000,
    key: SigningKey = CLOUD_KEY,
) -> bytes:
    """A signed command."""
    order = Command(
        id=number.to_bytes(16, "big"),
        terminal=terminal,
        verb=verb,
        not_after_ms=not_after_ms,
        operator="li.wei",
    )
    return command.issue(order, key)


def wrong_bundle(**fields: object) -> bytes:
    """A signed bundle that must never be in force."""
    facts = {
        "tenant": AT.tenant,
        "number": 9,
        "activate_ms": 0,
        "currency": "CNY",
        "products": (Product("tea", 100, "茶", "Tea"),),
        **fields,
    }
    return bundle.issue(Bundle(**facts), RULES_KEY).data  # type: ignore[arg-type]


OTHER = MemberList(terminal="t-0002", base=0, list_version=1, epoch=1, upto_seq=0)
REFUSED: dict[str, tuple[Down, bytes, str]] = {
    "garbage": (Down.ACK, b"garbage", "malformed"),
    "nothing": (Down.CMD, b"", "malformed"),
    "a list in the place of a bundle": (
        Down.BUNDLE,
        signed_members(members([])),
        "unknown_key",
    ),
    "a bundle signed by the cloud": (
        Down.BUNDLE,
        bundle.issue(published().bundle, CLOUD_KEY).data,
        "unknown_key",
    ),
    "a list signed for prices": (
        Down.MEMBERS,
        member_list.issue(members([]), RULES_KEY),
        "unknown_key",
    ),
    "a watermark as a list": (Down.MEMBERS, mark(Head(1, 0, bytes(32))), "bad_signature"),
    "another terminal's list": (Down.MEMBERS, member_list.issue(OTHER, CLOUD_KEY), "malformed"),
    "another terminal's watermark": (
        Down.ACK,
        mark(Head(1, 0, bytes(32)), "t-0002"),
        "malformed",
    ),
    "another terminal's wishes": (
        Down.DESIRED,
        shadow.issue(Desired(terminal="t-0002", revision=1), CLOUD_KEY),
        "malformed",
    ),
    "another tenant's bundle": (Down.BUNDLE, wrong_bundle(tenant="other"), "bad_bundle"),
    "a bundle with a wrong golden vector": (
        Down.BUNDLE,
        wrong_bundle(golden=(Golden("", (("tea", 1),), 99, 0),)),
        "bad_bundle",
    ),
    "a golden vector without a price": (
        Down.BUNDLE,
        wrong_bundle(golden=(Golden("", (("coffee", 1),), 99, 0),)),
        "bad_bundle",
    ),
    "a rule that nobody knows": (
        Down.BUNDLE,
        wrong_bundle(rules=(Rule("r", "magic", {}),)),
        "bad_bundle",
    ),
    "a bit flipped": (Down.BUNDLE, published().data[:-1] + b"\x00", "bad_signature"),
}


@pytest.mark.parametrize(("leaf", "payload", "code"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_message_is_refused_and_the_next_is_read(
    terminal: Assembly, leaf: Down, payload: bytes, code: str
) -> None:
    terminal.inbox.receive(leaf, payload)
    assert dict(terminal.inbox.refused) == {code: 1}
    assert terminal.inbox.last_refused == code
    terminal.inbox.receive(Down.MEMBERS, signed_members(members([snapshot()])))
    assert terminal.books.cache.state.version == 1
    assert dict(terminal.inbox.refused) == {code: 1}


def test_a_list_continues_its_version_or_is_asked_for_again(terminal: Assembly) -> None:
    def hear(version: int, base: int) -> tuple[int, bool]:
        terminal.inbox.must_report = False
        news = members([snapshot(version)], version, base)
        terminal.inbox.receive(Down.MEMBERS, signed_members(news))
        return terminal.books.cache.state.version, terminal.inbox.must_report

    assert hear(3, 0) == (3, False)
    assert hear(5, 4) == (3, True), "4 is missing: the cloud is told that we have 3"
    assert hear(4, 3) == (4, False)
    assert hear(4, 3) == (4, False), "the same again"
    assert hear(5, 4) == (5, False)
    assert terminal.books.cache.members() == 3


class Kept:
    """A line that keeps what it was given."""

    def __init__(self) -> None:
        self.said: list[tuple[Up, bytes]] = []

    def publish(self, leaf: Up, payload: bytes) -> int:
        self.said.append((leaf, payload))
        return len(self.said)


def test_the_life_of_the_ledger_is_said_with_the_version_of_its_list(
    terminal: Assembly, time_: Time
) -> None:
    line = Kept()
    inbox = assemble(terminal.books, time_.clock, line).inbox
    news = structs.replace(members([snapshot()], version=5), feed=7)
    inbox.receive(Down.MEMBERS, signed_members(news))
    inbox.report()
    (said,) = [decode(payload, Reported) for leaf, payload in line.said if leaf is Up.REPORTED]
    assert (said.list_version, said.feed) == (5, 7)


def test_a_list_of_another_epoch_covers_nothing_of_ours(terminal: Assembly) -> None:
    """The cloud granted the next epoch already; this terminal still sends the one before."""
    foreign = structs.replace(members([snapshot()], version=9, base=1), epoch=2)
    version = terminal.books.cache.state.version
    terminal.inbox.receive(Down.MEMBERS, signed_members(foreign))
    assert terminal.books.cache.state.version == version
    assert terminal.inbox.last_refused == "malformed"


def test_a_bundle_is_kept_over_a_restart(terminal: Assembly, tmp_path: Path, time_: Time) -> None:
    terminal.inbox.receive(Down.BUNDLE, published().data)
    terminal.inbox.receive(Down.BUNDLE, published(2, START_MS + 1_000).data)
    assert terminal.books.armed() == (2,)
    close(terminal.books)
    again = assemble(new_books(tmp_path, time_.clock), time_.clock)
    in_force = again.books.in_force()
    assert in_force is not None
    assert (in_force.ref.version, again.books.armed()) == (1, (2,))
    close(again.books)


def test_bundles_that_wait_do_not_push_out_the_one_in_force(
    terminal: Assembly, tmp_path: Path, time_: Time
) -> None:
    for number in range(2, 30):
        waiting = published(number, START_MS + number * 86_400_000)
        terminal.inbox.receive(Down.BUNDLE, waiting.data)
    terminal.inbox.receive(Down.BUNDLE, published().data)
    close(terminal.books)
    again = assemble(new_books(tmp_path, time_.clock), time_.clock)
    in_force = again.books.in_force()
    assert in_force is not None
    assert in_force.ref.version == 1


def test_prices_do_not_go_back_when_the_cache_is_lost(
    terminal: Assembly, tmp_path: Path, time_: Time
) -> None:
    terminal.inbox.receive(Down.BUNDLE, published(7).data)
    terminal.books.switch_bundle()
    close(terminal.books)
    (tmp_path / "cache.db").unlink()
    again = assemble(new_books(tmp_path, time_.clock), time_.clock)
    again.inbox.receive(Down.BUNDLE, published(3, coffee=1).data)
    assert (again.books.in_force(), again.inbox.last_refused) == (None, "bad_bundle")
    again.inbox.receive(Down.BUNDLE, published(7).data)
    assert again.books.in_force() is not None
    close(again.books)


def test_another_bundle_under_the_same_number_is_refused(terminal: Assembly) -> None:
    terminal.inbox.receive(Down.BUNDLE, published().data)
    terminal.inbox.receive(Down.BUNDLE, published(coffee=1).data)
    assert terminal.inbox.last_refused == "bad_bundle"
    in_force = terminal.books.in_force()
    assert in_force is not None
    assert in_force.ref.digest == published().digest


def test_wishes_only_rise(terminal: Assembly) -> None:
    for revision, every_s, expected in ((2, 5, 5), (1, 60, 5), (3, 7, 7)):
        wish = Desired(terminal=AT.terminal, revision=revision, status_every_s=every_s)
        terminal.inbox.receive(Down.DESIRED, shadow.issue(wish, CLOUD_KEY))
        assert terminal.inbox.desired.status_every_s == expected


def test_a_watermark_is_kept_with_its_signed_bytes(terminal: Assembly) -> None:
    head = terminal.books.journal.head
    terminal.inbox.receive(Down.ACK, mark(head))
    assert terminal.books.journal.acked_seq == head.seq == 1
    assert terminal.books.journal.watermark == mark(head)
    assert terminal.relay.queue == 0


def test_a_watermark_of_another_history_stops_the_terminal(terminal: Assembly) -> None:
    terminal.relay.feed(LineUp())
    terminal.inbox.receive(Down.ACK, mark(Head(1, 1, bytes(32))))
    assert terminal.relay.state.phase is Phase.HALTED
    assert terminal.books.journal.acked_seq == 0
    assert terminal.agent.counter.screen().closed in ("", "no_prices")
    assert terminal.board.refusal() == "terminal_stopped"


def test_records_that_the_ledger_has_and_we_do_not_stop_the_terminal(terminal: Assembly) -> None:
    terminal.inbox.receive(Down.ACK, mark(Head(1, 50, bytes(32))))
    assert terminal.board.refusal() == "terminal_stopped"


def test_a_standing_is_kept(terminal: Assembly) -> None:
    head = terminal.books.journal.head
    terminal.inbox.receive(Down.ACK, mark(head, standing=Standing.DRAIN_ONLY))
    assert terminal.board.refusal() == "terminal_stopped"
    terminal.inbox.receive(Down.ACK, mark(head))
    assert terminal.board.refusal() == ""


def listed(server_ms: int) -> bytes:
    """A list of that time."""
    return signed_members(structs.replace(members([snapshot()]), server_ms=server_ms))


def taken(terminal: Assembly) -> tuple[int, int]:
    """What words of the cloud have moved: the watermark, and the list."""
    return terminal.books.journal.acked_seq, terminal.books.cache.state.version


@pytest.mark.parametrize("is_synchronised", [True, False])
def test_a_word_from_the_future_moves_nothing_while_our_clock_is_right(
    terminal: Assembly,
    time_: Time,
    is_synchronised: bool,  # noqa: FBT001
) -> None:
    time_.is_synchronised = is_synchronised
    ahead = START_MS + AHEAD_MS + 1
    terminal.inbox.receive(Down.ACK, mark(terminal.books.journal.head, server_ms=ahead))
    terminal.inbox.receive(Down.MEMBERS, listed(ahead))
    expected = ((0, 0), {"time_ahead": 2}, START_MS) if is_synchronised else ((1, 1), {}, ahead)
    assert (taken(terminal), terminal.inbox.refused, time_.clock.wall_ms()) == expected


def test_an_honest_word_is_taken_after_one_from_the_future(terminal: Assembly) -> None:
    head = terminal.books.journal.head
    for server_ms in (START_MS + AHEAD_MS + 1, START_MS + AHEAD_MS):
        terminal.inbox.receive(Down.ACK, mark(head, server_ms=server_ms))
        terminal.inbox.receive(Down.MEMBERS, listed(server_ms))
    assert (taken(terminal), terminal.inbox.refused) == ((1, 1), {"time_ahead": 2})
    assert terminal.inbox.last_refused == "time_ahead"


def hear(terminal: Assembly, data: bytes) -> CommandDone:
    """Have a command run as the inbox does."""
    return terminal.commands.run(data)


def operator_records(terminal: Assembly) -> list[tuple[str, str]]:
    """What the journal says that operators did, oldest first."""
    return [(each.reason, each.note) for each in terminal.books.journal.commands()][::-1]


def test_a_command_runs_once_and_is_written_down(
    terminal: Assembly, tmp_path: Path, time_: Time
) -> None:
    assert hear(terminal, commanded()).code == "done"
    assert terminal.board.refusal() == "terminal_locked"
    assert hear(terminal, commanded(Verb.UNLOCK, number=2)).code == "done"
    assert hear(terminal, commanded()).code == "done", "a second delivery is answered"
    assert terminal.board.refusal() == "", "and changes nothing"
    assert operator_records(terminal) == [("lock", "li.wei"), ("unlock", "li.wei")]

    time_.passes(3_600_000)
    close(terminal.books)
    again = assemble(new_books(tmp_path, time_.clock), time_.clock)
    assert hear(again, commanded()).code == "done"
    assert not again.commands.locked
    assert len(operator_records(again)) == 2
    close(again.books)


def test_a_lock_survives_a_restart(terminal: Assembly, tmp_path: Path, time_: Time) -> None:
    hear(terminal, commanded())
    hear(terminal, commanded(Verb.SYNC_NOW, number=2))
    close(terminal.books)
    again = assemble(new_books(tmp_path, time_.clock), time_.clock)
    assert again.board.refusal() == "terminal_locked"
    close(again.books)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (commanded(not_after_ms=START_MS - 1), "expired"),
        (commanded(terminal="t-0002"), "other_terminal"),
    ],
)
def test_a_command_that_is_not_run(terminal: Assembly, data: bytes, code: str) -> None:
    assert hear(terminal, data).code == code
    assert not terminal.commands.locked
    assert operator_records(terminal) == []


def test_a_forged_command_has_no_answer(terminal: Assembly) -> None:
    terminal.inbox.receive(Down.CMD, commanded(key=RULES_KEY))
    assert terminal.inbox.last_refused == "unknown_key"
    assert operator_records(terminal) == []


def test_commands_are_records_of_their_kind(terminal: Assembly) -> None:
    hear(terminal, commanded(Verb.SYNC_NOW))
    newest = terminal.books.journal.newest()
    assert newest is not None
    assert newest.record.kind is Kind.OPERATOR
    assert newest.record.order == "cmd/" + (1).to_bytes(16, "big").hex()
