"""The feed of changes: whatever chunks a terminal gets, in the end it has the ledger's list."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud.ledger.transaction import Ledger
from cloud.members import store
from cloud.members.model import Changes
from protocol.member_list import CardState, Snapshot
from tests.cloud.town import MORNING_MS, Town, reference_of


class Terminal:
    """Applies messages by the rule of protocol.member_list."""

    def __init__(self) -> None:
        self.version = 0
        self.members: dict[str, Snapshot] = {}

    def apply(self, changes: Changes) -> None:
        assert changes.base in (0, self.version)
        if changes.base == 0:
            self.members = {}
        self.members |= {each.member: each for each in changes.members}
        self.version = changes.list_version


def follow(terminal: Terminal, town: Town, limit: int) -> int:
    """Take chunks until there are no more; returns how many there were."""
    for count in range(1, 1_000):
        with town.database.read() as connection:
            changes = store.changes(connection, terminal.version, limit)
        terminal.apply(changes)
        if changes.complete:
            return count
    raise AssertionError("the feed does not end")


def whole(town: Town) -> dict[str, Snapshot]:
    terminal = Terminal()
    follow(terminal, town, 1_000)
    return terminal.members


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10)
@given(limit=st.integers(1, 4), seen=st.integers(0, 6))
def test_chunks_add_up_to_the_list(town: Town, ledger: Ledger, limit: int, seen: int) -> None:
    salt = len(whole(town))
    names = [f"m-{salt}-{number}" for number in range(6)]
    terminal = Terminal()
    town.add_members(*names[:seen])
    follow(terminal, town, limit)
    town.add_members(*names[seen:])
    till = town.add_till(f"t-{salt}")
    ledger.ingest([till.batch(till.open(), *(till.top_up(name, 100) for name in names[1:3]))])
    with town.database.write() as connection:
        store.set_card_state(connection, reference_of(names[0]), CardState.LOST, MORNING_MS)
    follow(terminal, town, limit)
    assert terminal.members == whole(town)
    assert terminal.members[names[0]].cards[0].state is CardState.LOST
    with town.database.read() as connection:
        nothing = store.changes(connection, terminal.version)
    assert (nothing.base, nothing.members, nothing.complete) == (terminal.version, (), True)


def test_a_version_that_was_never_given_out_gets_everything(town: Town) -> None:
    town.add_members("ann")
    with town.database.read() as connection:
        changes = store.changes(connection, 99)
    assert changes.base == 0
    assert [each.member for each in changes.members] == ["ann"]


def test_a_tap_reaches_the_feed(town: Town, ledger: Ledger) -> None:
    town.add_members("ann", "bob")
    terminal = Terminal()
    follow(terminal, town, 10)
    till = town.add_till("t-0001")
    ledger.ingest([till.batch(till.open(), till.top_up("bob", 500))])
    with town.database.read() as connection:
        changes = store.changes(connection, terminal.version)
    assert [(each.member, each.state.principal) for each in changes.members] == [("bob", 500)]
    terminal.apply(changes)
    assert terminal.members == whole(town)
