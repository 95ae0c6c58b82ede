"""The table between journal and ledger: every pair, on a line that loses, repeats and reorders."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge.sync_flow import (
    FORKED,
    GO_BACK_PAUSE_MS,
    HISTORY_DIFFERS,
    LEDGER_WENT_BACK,
    RESEND_MOST_MS,
    RESEND_MS,
    RETRY_MS,
    TABLE,
    WINDOW_BATCHES,
    Acknowledge,
    Alarm,
    Appended,
    Batch,
    Delivered,
    Event,
    LineDown,
    LineUp,
    NotSent,
    Nudged,
    Phase,
    Receipt,
    Send,
    Sent,
    State,
    Ticked,
    start,
    step,
    wake_ms,
)
from protocol.watermark import Standing, Watermark

NOW = 1_000_000
BATCH = 10


def hash_of(seq: int) -> bytes:
    """What stands for the hash of a record."""
    return seq.to_bytes(32, "big")


def mark(upto: int, **fields: object) -> Watermark:
    """A watermark of our history."""
    facts = {"terminal": "t-0001", "epoch": 1, "head_hash": hash_of(upto), "server_ms": 1}
    return Watermark(upto_seq=upto, **{**facts, **fields})  # type: ignore[arg-type]


def receipt(upto: int, **fields: object) -> Receipt:
    """The same, with our own record at its place."""
    return Receipt(mark(upto, **fields), hash_of(upto))


DOWN = start(1, head=30, acked=5, heard_ms=1)
UP = DOWN._replace(phase=Phase.LINE_UP, flight=(Batch(6, 15, 1), Batch(16, 25, 2)), next=26)
ASKED = UP._replace(asked=True)
HALTED = DOWN._replace(phase=Phase.HALTED, alarm=HISTORY_DIFFERS)
LOST = UP._replace(phase=Phase.LINE_DOWN, flight=(), next=6)
EVENTS: dict[type, Event] = {
    LineUp: LineUp(),
    LineDown: LineDown(),
    Appended: Appended(31),
    Sent: Sent(26, 30, 3),
    NotSent: NotSent(),
    Delivered: Delivered(2),
    Receipt: receipt(15),
    Ticked: Ticked(),
    Nudged: Nudged(),
}
FILLED = UP._replace(flight=(*UP.flight, Batch(26, 30, 3)), next=31)
RECEIVED = UP._replace(acked=15, flight=(Batch(16, 25, 2),))
EXPECTED = {
    (Phase.LINE_DOWN, LineUp): (
        DOWN._replace(phase=Phase.LINE_UP, asked=True),
        (Send(6),),
    ),
    (Phase.LINE_DOWN, Appended): (DOWN._replace(head=31), ()),
    (Phase.LINE_DOWN, Receipt): (DOWN._replace(acked=15, next=16), (Acknowledge(mark(15)),)),
    (Phase.LINE_UP, LineUp): (UP._replace(flight=(), next=6, asked=True), (Send(6),)),
    (Phase.LINE_UP, LineDown): (LOST, ()),
    (Phase.LINE_UP, Appended): (UP._replace(head=31, asked=True), (Send(26),)),
    (Phase.LINE_UP, Sent): (FILLED, ()),
    (Phase.LINE_UP, NotSent): (UP._replace(retry_ms=NOW + RETRY_MS), ()),
    (Phase.LINE_UP, Delivered): (
        UP._replace(flight=(UP.flight[0], Batch(16, 25, 2, NOW))),
        (),
    ),
    (Phase.LINE_UP, Receipt): (
        RECEIVED._replace(asked=True),
        (Send(26), Acknowledge(mark(15))),
    ),
    (Phase.LINE_UP, Nudged): (UP._replace(flight=(), next=6, asked=True), (Send(6),)),
    (Phase.HALTED, Appended): (HALTED._replace(head=31), ()),
    (Phase.HALTED, Receipt): (
        HALTED._replace(phase=Phase.LINE_UP, acked=15, next=16, asked=True, alarm=""),
        (Send(16), Acknowledge(mark(15))),
    ),
}


def test_the_table_names_every_event() -> None:
    assert {event for _, event in TABLE} == set(get_args(Event)) == set(EVENTS)


@pytest.mark.parametrize("state", [DOWN, UP, HALTED], ids=lambda state: state.phase)
@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_every_pair(state: State, kind: type) -> None:
    asked = state is UP and kind in (Sent, NotSent)
    before = ASKED if asked else state
    assert step(before, EVENTS[kind], NOW) == EXPECTED.get((state.phase, kind), (before, ()))


def test_the_window_holds_no_more_than_its_batches() -> None:
    state = start(1, head=1_000, acked=0)
    state, actions = step(state, LineUp(), NOW)
    number = 0
    while actions:
        assert actions == (Send(number * BATCH + 1),)
        number += 1
        state, actions = step(state, Sent(state.next, state.next + BATCH - 1, number), NOW)
    assert len(state.flight) == number == WINDOW_BATCHES


def test_puback_frees_nothing() -> None:
    full = UP._replace(flight=tuple(Batch(n, n, n) for n in range(6, 10)), next=10)
    for number in range(6, 10):
        full, actions = step(full, Delivered(number), NOW)
        assert actions == ()
    assert len(full.flight) == WINDOW_BATCHES


@pytest.mark.parametrize(
    "late", [mark(4), mark(15, epoch=2, head_hash=hash_of(1)), mark(3, head_hash=hash_of(9))]
)
def test_a_watermark_of_the_past_or_another_epoch_changes_nothing(late: Watermark) -> None:
    assert step(UP, Receipt(late, hash_of(late.upto_seq)), NOW) == (UP, ())


def test_a_repeated_watermark_does_not_lift_a_revocation() -> None:
    state, _ = step(UP, receipt(15, server_ms=20, standing=Standing.DRAIN_ONLY), NOW)
    assert step(state, receipt(15, server_ms=10), NOW) == (state, ())
    assert step(state, receipt(15, server_ms=30), NOW)[0].standing is Standing.ACTIVE


@pytest.mark.parametrize("before", [UP, DOWN, HALTED], ids=lambda state: state.phase)
def test_a_ledger_that_lost_records_has_them_again(before: State) -> None:
    """It was restored from a backup: its newer word says less than the one before."""
    state, actions = step(before, receipt(3, server_ms=2), NOW)
    assert {Acknowledge(mark(3, server_ms=2)), Alarm(LEDGER_WENT_BACK)} <= set(actions)
    assert (state.acked, state.flight, state.alarm) == (3, (), "")
    assert Send(4) in (*actions, *step(state, LineUp(), NOW)[1])
    other = step(before, Receipt(mark(3, server_ms=2), hash_of(9)), NOW)
    assert other[0].alarm == HISTORY_DIFFERS


@pytest.mark.parametrize("own_hash", [hash_of(9), None])
def test_another_history_halts_and_alarms_once(own_hash: bytes | None) -> None:
    state, actions = step(UP, Receipt(mark(15), own_hash), NOW)
    assert actions == (Alarm(HISTORY_DIFFERS),)
    assert (state.phase, state.alarm, state.acked) == (Phase.HALTED, HISTORY_DIFFERS, 5)
    assert step(state, Receipt(mark(15), own_hash), NOW) == (state, ())
    assert wake_ms(state) is None


def test_a_fork_halts() -> None:
    state, actions = step(UP, receipt(15, standing=Standing.FORKED), NOW)
    assert actions == (Acknowledge(mark(15, standing=Standing.FORKED)), Alarm(FORKED))
    assert state.phase is Phase.HALTED
    assert start(1, 30, 15, Standing.FORKED).phase is Phase.HALTED


def test_a_revoked_terminal_still_hands_in_its_records() -> None:
    state, actions = step(UP, receipt(15, standing=Standing.DRAIN_ONLY), NOW)
    assert Send(26) in actions
    assert state.standing is Standing.DRAIN_ONLY


def test_a_gap_is_filled_once_in_a_while() -> None:
    gap = receipt(5, missing=((6, 15),))
    state, actions = step(UP, gap, NOW)
    assert actions == (Send(6),)
    state, _ = step(state, Sent(6, 15, 3), NOW)
    state, _ = step(state, Sent(16, 30, 4), NOW)
    assert step(state, gap, NOW + 1) == (state, ())
    assert step(state, gap, NOW + GO_BACK_PAUSE_MS)[1] == (Send(6),)


def test_a_batch_without_watermark_is_sent_again_ever_less_often() -> None:
    state, now = UP._replace(head=25), NOW
    pauses = []
    for number in range(10, 50, 2):
        state, _ = step(state, Delivered(state.flight[0].number), now)
        due = wake_ms(state)
        assert due is not None
        assert step(state, Ticked(), due - 1) == (state, ())
        pauses.append(due - now)
        state, actions = step(state, Ticked(), due)
        assert actions == (Send(6),)
        state, _ = step(state, Sent(6, 15, number), due)
        state, _ = step(state, Sent(16, 25, number + 1), due)
        now = due
    assert pauses[:4] == [RESEND_MS, 2 * RESEND_MS, 4 * RESEND_MS, 8 * RESEND_MS]
    assert pauses[-1] == RESEND_MOST_MS
    state, _ = step(state, receipt(15), now)
    assert state.resend_ms == RESEND_MS


def test_a_batch_that_the_broker_does_not_have_yet_is_not_sent_again() -> None:
    assert wake_ms(UP) is None
    assert step(UP, Ticked(), NOW + RESEND_MOST_MS) == (UP, ())


def test_a_line_that_takes_nothing_is_asked_again() -> None:
    state, _ = step(ASKED, NotSent(), NOW)
    assert wake_ms(state) == NOW + RETRY_MS
    assert step(state, Appended(31), NOW)[1] == ()
    assert step(state, Ticked(), NOW + RETRY_MS)[1] == (Send(26),)


class Delivery(RuleBasedStateMachine):
    """A line that loses, repeats and reorders, a ledger that dies, a terminal that restarts."""

    def __init__(self) -> None:
        super().__init__()
        self.head = 0
        self.on_disk = 0  # the acknowledged seq in the journal
        self.state = start(1, 0, 0)
        self.now = NOW
        self.number = 0
        self.up: list[tuple[int, int]] = []
        self.down: list[Watermark] = []
        self.server_ms = self.heard_on_disk = 0
        self.ledger: set[int] = set()

    @property
    def contiguous(self) -> int:
        upto = 0
        while upto + 1 in self.ledger:
            upto += 1
        return upto

    def say(self, upto: int, missing: tuple[tuple[int, int], ...] = ()) -> Watermark:
        """The ledger's next word, by its clock."""
        self.server_ms += 1
        return mark(upto, missing=missing, server_ms=self.server_ms)

    def feed(self, event: Event) -> None:
        self.state, actions = step(self.state, event, self.now)
        for action in actions:
            if isinstance(action, Send):
                self.send(action.first)
            elif isinstance(action, Acknowledge):
                self.on_disk = action.watermark.upto_seq
                self.heard_on_disk = action.watermark.server_ms
            else:
                pytest.fail(f"a healthy history was doubted: {action}")

    def send(self, first: int) -> None:
        assert 1 <= first <= self.head
        last = min(first + BATCH - 1, self.head)
        self.number += 1
        self.up.append((first, last))
        self.feed(Sent(first, last, self.number))

    @rule(count=st.integers(1, 25))
    def tap(self, count: int) -> None:
        self.head += count
        self.feed(Appended(self.head))

    @rule()
    def line_up(self) -> None:
        self.feed(LineUp())

    @rule()
    def line_down(self) -> None:
        self.feed(LineDown())

    @rule()
    def restart(self) -> None:
        self.state = start(1, self.head, self.on_disk, heard_ms=self.heard_on_disk)

    @precondition(lambda self: self.up)
    @rule(data=st.data(), keep=st.booleans(), lose=st.booleans())
    def deliver(self, data: st.DataObject, keep: bool, lose: bool) -> None:  # noqa: FBT001
        batch = data.draw(st.sampled_from(self.up))
        if not keep:
            self.up.remove(batch)
        if not lose:
            self.ledger.update(range(batch[0], batch[1] + 1))
            upto = self.contiguous
            gaps = [seq for seq in self.ledger if seq > upto]
            missing = ((upto + 1, min(gaps) - 1),) if gaps else ()
            self.down.append(self.say(upto, missing))

    @precondition(lambda self: self.down)
    @rule(data=st.data(), keep=st.booleans())
    def acknowledge(self, data: st.DataObject, keep: bool) -> None:  # noqa: FBT001
        watermark = data.draw(st.sampled_from(self.down))
        if not keep:
            self.down.remove(watermark)
        self.feed(Receipt(watermark, hash_of(watermark.upto_seq)))

    @rule(behind=st.integers(0, 5))
    def puback(self, behind: int) -> None:
        self.feed(Delivered(self.number - behind))

    @rule(milliseconds=st.sampled_from([1, RETRY_MS, RESEND_MS, RESEND_MOST_MS]))
    def time_passes(self, milliseconds: int) -> None:
        self.now += milliseconds
        self.feed(Ticked())

    @invariant()
    def only_the_ledger_lets_forget(self) -> None:
        assert self.on_disk <= self.contiguous
        assert self.state.acked <= self.contiguous

    @invariant()
    def the_window_is_kept_and_covers_what_was_sent(self) -> None:
        state = self.state
        assert len(state.flight) <= WINDOW_BATCHES
        assert not state.asked
        spans = [seq for batch in state.flight for seq in range(batch.first, batch.last + 1)]
        assert spans == sorted(set(spans))
        assert set(range(state.acked + 1, state.next)) <= set(spans)

    def teardown(self) -> None:
        """On a good line everything arrives, without anybody's help."""
        self.up.clear()
        self.down.clear()
        self.feed(LineUp())
        for _ in range(self.head // BATCH + 2):
            while self.up:
                first, last = self.up.pop(0)
                self.ledger.update(range(first, last + 1))
            upto = self.contiguous
            self.feed(Receipt(self.say(upto), hash_of(upto)))
        assert self.state.acked == self.head == self.on_disk


TestDelivery = Delivery.TestCase
