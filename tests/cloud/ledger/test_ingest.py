"""What records do to members and books; the order in which they arrive does nothing."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.ledger.chains import Batch, Held
from cloud.ledger.ingest import WAITING_VOIDS_MAX
from protocol.membership.event import event_of, moves_account
from protocol.membership.fold import fold
from protocol.membership.state import State
from protocol.record import BundleRef, Kind, Line, Record, Sealed, Tender
from tests.cloud.ledger.memory import Memory
from tests.cloud.town import MORNING_MS, Till, card_of, make_bundle

BUNDLE = make_bundle()


@pytest.fixture
def memory() -> Memory:
    memory = Memory(BUNDLE)
    memory.add_members("ann", "bob")
    return memory


@pytest.fixture
def till(memory: Memory) -> Till:
    till = memory.add_till("t-0001", BUNDLE, Random(1))
    memory.ingest(till.batch(till.open()))
    return till


def balance(memory: Memory, account: str) -> int:
    return sum(amount for (name, _), amount in memory.balances.items() if name == account)


def assert_balanced(memory: Memory) -> None:
    units = {unit for _, unit in memory.balances}
    for wanted in units:
        assert not sum(value for (_, unit), value in memory.balances.items() if unit == wanted)
    for member, state in memory.checkpoints.items():
        assert balance(memory, f"principal:{member}") == -state.principal
        assert balance(memory, f"overdraft:{member}") == state.overdraft
        assert balance(memory, f"points:{member}") == -state.points
        assert balance(memory, f"points_debt:{member}") == state.points_debt


def test_a_sale_draws_stored_value_and_gives_points(memory: Memory, till: Till) -> None:
    memory.ingest(till.batch(till.top_up("ann", 5_000), till.sale("ann", ("p-4", 2))))
    assert memory.checkpoints["ann"].principal == 4_000
    assert memory.checkpoints["ann"].points == 10
    assert balance(memory, "cash:cash:site-1") == 5_000
    assert balance(memory, "sales:site-1") == -1_000
    assert balance(memory, "points_granted") == 10
    assert_balanced(memory)


def test_a_sale_above_the_balance_is_never_refused(memory: Memory, till: Till) -> None:
    memory.ingest(till.batch(till.top_up("ann", 100), till.sale("ann")))
    assert memory.checkpoints["ann"].overdraft == 200
    memory.ingest(till.batch(till.top_up("ann", 500)))
    assert memory.checkpoints["ann"].overdraft == 0
    assert memory.checkpoints["ann"].principal == 300
    assert_balanced(memory)


def test_a_guest_pays_cash(memory: Memory, till: Till) -> None:
    memory.ingest(till.batch(till.sale(None, ("p-0", 1), tender="cash")))
    assert balance(memory, "sales:site-1") == -300
    assert_balanced(memory)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_void_takes_back_whatever_the_order(memory: Memory, order: tuple[int, int]) -> None:
    here, there = (memory.add_till(f"t-000{n}", BUNDLE, Random(n)) for n in (1, 2))
    memory.ingest(here.batch(here.open()), there.batch(there.open()))
    sale = here.sale("ann", ("p-0", 2), tender="cash")
    there.at_ms = here.at_ms
    batches = here.batch(sale), there.batch(there.void("ann", sale.record.tid))
    for number in order:
        memory.ingest(batches[number])
    assert memory.checkpoints["ann"].points == 0
    assert balance(memory, "sales:site-1") == 0
    assert balance(memory, "cash:cash:site-1") == 0
    assert_balanced(memory)


def test_a_second_void_takes_back_nothing_more(memory: Memory, till: Till) -> None:
    sale = till.sale("ann", tender="cash")
    voids = till.void("ann", sale.record.tid), till.void("ann", sale.record.tid)
    memory.ingest(till.batch(sale, *voids))
    assert not memory.apart
    assert balance(memory, "sales:site-1") == 0
    assert_balanced(memory)


def test_voids_that_wait_for_nothing_do_not_grow_an_account(memory: Memory, till: Till) -> None:
    late = memory.add_till("t-0002", BUNDLE, Random(2))
    opening, sale = late.open(), late.sale("ann")
    waiting = [till.void("ann", till.random.randbytes(16)) for _ in range(WAITING_VOIDS_MAX - 1)]
    waiting.append(till.void("ann", sale.record.tid))
    memory.ingest(till.batch(*waiting))
    assert not memory.apart
    told = [each.record.refers_to for each in waiting]
    assert sorted(memory.checkpoints["ann"].waiting_voids) == sorted(filter(None, told))

    too_many, again = till.void("ann", bytes(16)), till.void("ann", told[0] or b"")
    known = till.top_up("ann", 7)
    made = memory.ingest(till.batch(too_many, again, known, till.void("ann", known.record.tid)))
    assert [row.reason for row in made.quarantine] == ["too_many_voids"]
    assert made.quarantine[0].seq == too_many.record.seq

    memory.ingest(late.batch(opening, sale))
    assert len(memory.checkpoints["ann"].waiting_voids) == WAITING_VOIDS_MAX - 1
    made = memory.ingest(till.batch(till.void("ann", bytes(15) + b"1")))
    assert not made.quarantine
    assert_balanced(memory)


def test_a_late_record_posts_the_difference(memory: Memory, till: Till) -> None:
    """An offline top-up that comes after the sale it paid for ends the overdraft it left."""
    late = memory.add_till("t-0002", BUNDLE, Random(2))
    opening, top_up = late.open(), late.top_up("ann", 1_000)
    till.at_ms = late.at_ms + 60_000
    memory.ingest(till.batch(till.sale("ann")))
    assert memory.checkpoints["ann"].overdraft == 300
    made = memory.ingest(late.batch(opening, top_up))
    assert memory.checkpoints["ann"].principal == 700
    assert {(entry[2], entry[4]) for entry in made.entries} == {
        ("cash:cash:site-1", 1_000),
        ("principal:ann", -700),
        ("overdraft:ann", -300),
    }
    assert_balanced(memory)


@pytest.mark.parametrize(
    ("tenders", "left"),
    [
        ({"stored_value": 350}, 700),
        ({"cash": 350}, 1_000),
        ({"cash": 320, "stored_value": 30}, 1_000),
        ({"cash": 250, "stored_value": 100}, 950),
    ],
)
def test_an_overcharged_member_has_back_what_the_sale_drew(
    memory: Memory, till: Till, tenders: dict[str, int], left: int
) -> None:
    """Of what was paid in cash the ledger only says so: it has not seen it."""
    lines = (Line("p-0", 1, 350, 350),)
    paid = tuple(Tender(method, amount) for method, amount in tenders.items())
    made = memory.ingest(
        till.batch(till.top_up("ann", 1_000), till.sale("ann", lines=lines, tenders=paid))
    )
    assert [(row.audit, row.gap) for row in made.records] == [("", 0), ("price_differs", 50)]
    assert memory.checkpoints["ann"].principal == left
    assert memory.checkpoints["ann"].qualifying == 300
    given_back = left - 1_000 + tenders.get("stored_value", 0)
    assert balance(memory, "price_variance:site-1") == given_back
    assert balance(memory, "sales:site-1") == -350
    assert_balanced(memory)


def test_an_undercharged_member_pays_what_was_said(memory: Memory, till: Till) -> None:
    lines = (Line("p-0", 1, 250, 250),)
    made = memory.ingest(
        till.batch(till.sale("ann", lines=lines, tenders=(Tender("cash", 250),), earned=3))
    )
    assert (made.records[0].audit, made.records[0].gap) == ("price_differs", -50)
    assert balance(memory, "sales:site-1") == -300
    assert balance(memory, "price_variance:site-1") == 50
    assert memory.checkpoints["ann"].qualifying == 250
    assert_balanced(memory)


@pytest.mark.parametrize(
    ("fields", "audit"),
    [
        ({"bundle": None}, "unknown_bundle"),
        ({"bundle": BundleRef(7, b"?" * 32)}, "unknown_bundle"),
        ({"earned": 9}, "points_differ"),
        ({"lines": (Line("p-0", 1, 300, 300, ("cheap",)),)}, "lines_differ"),
        ({"lines": (Line("p-99", 1, 300, 300),)}, "unpriceable"),
    ],
)
def test_what_the_bundle_does_not_say_is_flagged_and_posted(
    memory: Memory, till: Till, fields: dict[str, Any], audit: str
) -> None:
    made = memory.ingest(till.batch(till.sale("ann", ("p-0", 1), **fields)))
    assert [(row.state, row.audit) for row in made.records] == [("posted", audit)]
    assert_balanced(memory)


@pytest.mark.parametrize(
    ("member", "kind", "fields", "reason"),
    [
        ("nobody", Kind.TOP_UP, {}, "unknown_card"),
        ("ann", Kind.REFUND, {}, "kind_unsupported"),
        ("ann", Kind.PASS_USE, {}, "kind_unsupported"),
        ("ann", Kind.VOID, {"refers_to": None, "tenders": ()}, "unbalanced"),
        ("ann", Kind.VOID, {"refers_to": bytes(16), "earned": 5}, "unbalanced"),
        ("ann", Kind.SALE, {}, "unbalanced"),
        ("ann", Kind.EARN, {"earned": 5}, "unbalanced"),
        ("ann", Kind.TOP_UP, {"tenders": (Tender("stored_value", 5),)}, "unbalanced"),
    ],
)
def test_what_cannot_be_booked_is_kept_apart_and_the_rest_goes_on(
    memory: Memory, till: Till, member: str, kind: Kind, fields: dict[str, Any], reason: str
) -> None:
    usual = {"card": card_of(member), "tenders": (Tender("cash", 100),)}
    wrong = till.record(kind, **(usual | fields))
    made = memory.ingest(till.batch(wrong, till.top_up("bob", 100)))
    assert [row.reason for row in made.quarantine] == [reason]
    assert made.chains[0].quarantined == 1
    assert made.chains[0].head == till.head
    assert memory.checkpoints["ann"] == State()
    assert memory.checkpoints["bob"].principal == 100
    assert_balanced(memory)


def test_declines_are_noted_with_or_without_a_known_card(memory: Memory, till: Till) -> None:
    known = till.record(Kind.DECLINE, card=card_of("ann"), reason="balance_too_low")
    stranger = till.record(Kind.DECLINE, card=card_of("nobody"), reason="card_unknown")
    made = memory.ingest(till.batch(known, stranger, till.record(Kind.DECLINE, reason="forged")))
    assert [(row.state, row.member) for row in made.records] == [
        ("noted", "ann"),
        ("noted", None),
        ("noted", None),
    ]


# One step of a day: till, member, what, amount or how many steps ago.
STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["ann", "bob"]),
        st.sampled_from(["sale", "cash_sale", "top_up", "void", "overcharged", "redeem"]),
        st.integers(1, 12),
        st.integers(-3, 3),
    ),
    min_size=1,
    max_size=25,
)


def play(tills: Sequence[Till], steps: Sequence[tuple[int, str, str, int, int]]) -> list[Sealed]:
    """The records of a day; clocks of terminals disagree by seconds."""
    day: list[Sealed] = [till.open() for till in tills]
    for number, (which, member, what, amount, skew) in enumerate(steps):
        till = tills[which]
        till.at_ms = MORNING_MS + (10 + number + skew) * 1_000
        if what == "top_up":
            day.append(till.top_up(member, amount * 100))
        elif what == "void":
            day.append(till.void(member, day[-min(amount, len(day))].record.tid))
        elif what == "redeem":
            day.append(till.record(Kind.REDEEM, card=card_of(member), spent=amount))
        elif what == "overcharged":
            lines = (Line("p-0", 1, 300 + amount, 300 + amount),)
            tenders = (Tender("stored_value", 300 + amount),)
            day.append(till.sale(member, lines=lines, tenders=tenders))
        else:
            tender = "cash" if what == "cash_sale" else "stored_value"
            day.append(till.sale(member, ("p-1", amount), tender=tender))
    return day


def deliveries(tills: Sequence[Till], day: Sequence[Sealed], random: Random) -> list[list[Batch]]:
    """Batches in any order, some twice, some together in one transaction."""
    batches: list[Batch] = []
    for till in tills:
        own = [sealed for sealed in day if sealed.record.terminal == till.terminal]
        while own:
            size = random.randrange(1, 6)
            batches.append(till.batch(*own[:size]))
            own = own[size:]
    batches += random.choices(batches, k=len(batches) // 2)
    random.shuffle(batches)
    parts: list[list[Batch]] = []
    while batches:
        size = random.randrange(1, 4)
        parts.append(batches[:size])
        batches = batches[size:]
    return parts


def deliver(memory: Memory, parts: Sequence[Sequence[Batch]], tills: Sequence[Till]) -> None:
    """Transactions until every chain is whole, as terminals would send again."""
    held: Held = {}
    while any(memory.chains[till.terminal, 1].head != till.head for till in tills):
        for part in parts:
            made = memory.ingest(*part, held=held)
            assert not made.refusals
            held = made.held


def world() -> tuple[Memory, list[Till]]:
    memory = Memory(BUNDLE)
    memory.add_members("ann", "bob")
    return memory, [memory.add_till(f"t-000{n}", BUNDLE, Random(n)) for n in range(3)]


def folded(day: Sequence[Sealed], member: str, memory: Memory) -> State:
    """The fold of a member's records, without the ledger's doing."""
    rows = {row.hash: row for row in memory.records.values()}
    events = []
    for sealed in day:
        record: Record = sealed.record
        if rows[sealed.hash].member == member and moves_account(record.kind):
            gap = rows[sealed.hash].gap
            event = event_of(record)
            events.append(event._replace(drawn=event.drawn - gap, net=event.net - gap))
    return fold(events)


@given(steps=STEPS, seed=st.integers(0, 2**32))
def test_any_order_of_arrival_gives_the_same_books(
    steps: list[tuple[int, str, str, int, int]], seed: int
) -> None:
    memory, tills = world()
    day = play(tills, steps)
    deliver(memory, deliveries(tills, day, Random(seed)), tills)
    assert_balanced(memory)
    assert not memory.apart

    straight, others = world()
    deliver(straight, [[till.batch(*_own(day, till)) for till in tills]], tills)
    assert others
    assert memory.checkpoints == straight.checkpoints
    assert +memory.balances == +straight.balances
    assert -memory.balances == -straight.balances
    for member, state in memory.checkpoints.items():
        assert state == folded(day, member, memory)


def _own(day: Sequence[Sealed], till: Till) -> list[Sealed]:
    return [sealed for sealed in day if sealed.record.terminal == till.terminal]
