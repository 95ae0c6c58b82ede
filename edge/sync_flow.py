"""How records get from the journal to the ledger, as one table. Reading and sending is the relay's.

    state, actions = step(state, event, now_ms)

A batch stays in flight until a signed watermark covers it. The broker's PUBACK only starts the
clock after which a batch is sent again: before it, the batch is still on its way to the broker.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple

from protocol.watermark import Standing, Watermark

# Four batches of 50 keep the ledger busy while a watermark travels, and a lost line costs little.
WINDOW_BATCHES = 4
# No watermark for so long after the broker had a batch: it is sent again, and then ever less often.
RESEND_MS = 5_000
RESEND_MOST_MS = 60_000
# Watermarks on their way name the same gap several times: it is filled once in this time.
GO_BACK_PAUSE_MS = 1_000
# A line that is up and takes nothing is asked again after this.
RETRY_MS = 1_000

HISTORY_DIFFERS = "history_differs"
FORKED = "forked"
LEDGER_WENT_BACK = "ledger_went_back"


class Phase(StrEnum):
    """Where the traffic stands."""

    LINE_DOWN = "line_down"
    LINE_UP = "line_up"
    HALTED = "halted"  # the ledger has another history, or saw two: an operator decides


class Batch(NamedTuple):
    """Consecutive records handed to the line as message ``number``."""

    first: int
    last: int
    number: int
    delivered_ms: int | None = None  # when the broker had it


class State(NamedTuple):
    """``head`` is the newest seq of the journal, ``acked`` the newest that the ledger has.

    ``next`` is the first that is not in flight. ``asked``: a Send is being carried out.
    ``heard_ms`` is the cloud's clock in the newest watermark that was taken.
    """

    epoch: int
    head: int
    acked: int
    next: int
    phase: Phase = Phase.LINE_DOWN
    flight: tuple[Batch, ...] = ()
    asked: bool = False
    retry_ms: int | None = None
    resend_ms: int = RESEND_MS
    went_back_ms: int | None = None
    standing: Standing = Standing.ACTIVE
    alarm: str = ""
    heard_ms: int = 0


class LineUp(NamedTuple):
    """The line to the broker stands; nothing of an earlier one is on its way any more."""


class LineDown(NamedTuple):
    """The line is gone."""


class Appended(NamedTuple):
    """The journal has records up to ``seq``."""

    seq: int


class Sent(NamedTuple):
    """The line took records ``first`` to ``last`` as message ``number``."""

    first: int
    last: int
    number: int


class NotSent(NamedTuple):
    """The line did not take them."""


class Delivered(NamedTuple):
    """The broker has message ``number`` (PUBACK)."""

    number: int


class Receipt(NamedTuple):
    """A watermark whose signature holds, with the hash of our own record at its ``upto_seq``.

    ``own_hash`` is that of the grant for seq 0, and None when we have no such record.
    """

    watermark: Watermark
    own_hash: bytes | None


class Ticked(NamedTuple):
    """Time passed."""


class Nudged(NamedTuple):
    """An operator wants everything that is not acknowledged to be sent now."""


Event = LineUp | LineDown | Appended | Sent | NotSent | Delivered | Receipt | Ticked | Nudged


class Send(NamedTuple):
    """Send one batch that begins with record ``first``; then say Sent or NotSent."""

    first: int


class Acknowledge(NamedTuple):
    """Remember on disk that the ledger has everything up to ``watermark.upto_seq``."""

    watermark: Watermark


class Alarm(NamedTuple):
    """Tell an operator."""

    code: str


Action = Send | Acknowledge | Alarm
Step = tuple[State, tuple[Action, ...]]


def start(
    epoch: int, head: int, acked: int, standing: Standing = Standing.ACTIVE, heard_ms: int = 0
) -> State:
    """Return the state of a terminal that has just started, from what its journal holds."""
    halted = standing is Standing.FORKED
    phase, alarm = (Phase.HALTED, FORKED) if halted else (Phase.LINE_DOWN, "")
    state = State(epoch, head, acked, acked + 1, phase, heard_ms=heard_ms)
    return state._replace(standing=standing, alarm=alarm)


def wake_ms(state: State) -> int | None:
    """When Ticked must come next (monotonic), None when nothing waits for time."""
    if state.phase is not Phase.LINE_UP:
        return None
    delivered = (batch.delivered_ms for batch in state.flight)
    times = [since + state.resend_ms for since in delivered if since is not None]
    if state.retry_ms is not None:
        times.append(state.retry_ms)
    return min(times, default=None)


def _pump(state: State) -> Step:
    """Ask for one more batch when there is something to send and room in the window."""
    ready = not state.asked and state.retry_ms is None and state.phase is Phase.LINE_UP
    if not ready or state.next > state.head or len(state.flight) >= WINDOW_BATCHES:
        return state, ()
    return state._replace(asked=True), (Send(state.next),)


def _go_back(state: State) -> Step:
    """Send everything that is not acknowledged again, oldest first."""
    return _pump(state._replace(flight=(), next=state.acked + 1, retry_ms=None))


def _line_up(state: State, _event: LineUp, _now_ms: int) -> Step:
    fresh = state._replace(phase=Phase.LINE_UP, asked=False, resend_ms=RESEND_MS, went_back_ms=None)
    return _go_back(fresh)


def _line_down(state: State, _event: LineDown, _now_ms: int) -> Step:
    gone = state._replace(phase=Phase.LINE_DOWN, flight=(), next=state.acked + 1, asked=False)
    return gone._replace(retry_ms=None), ()


def _appended(state: State, event: Appended, _now_ms: int) -> Step:
    return _pump(state._replace(head=max(state.head, event.seq)))


def _sent(state: State, event: Sent, _now_ms: int) -> Step:
    state = state._replace(asked=False)
    if event.first != state.next:
        return _pump(state)
    batch = Batch(event.first, event.last, event.number)
    return _pump(state._replace(flight=(*state.flight, batch), next=event.last + 1))


def _not_sent(state: State, _event: NotSent, now_ms: int) -> Step:
    return state._replace(asked=False, retry_ms=now_ms + RETRY_MS), ()


def _delivered(state: State, event: Delivered, now_ms: int) -> Step:
    flight = tuple(
        batch._replace(delivered_ms=now_ms) if batch.number == event.number else batch
        for batch in state.flight
    )
    return state._replace(flight=flight), ()


def _receipt(state: State, event: Receipt, now_ms: int) -> Step:
    """Take or leave a watermark; one that fits ends a halt, because only a live line brings it.

    One that is older than what was taken is a repeat, and would lift a revocation. A newer one
    that goes back tells of a ledger that lost records: we still have them.
    """
    mark = event.watermark
    went_back = mark.upto_seq < state.acked
    repeated = mark.server_ms <= state.heard_ms if went_back else mark.server_ms < state.heard_ms
    if mark.epoch != state.epoch or repeated:
        return state, ()
    if event.own_hash != mark.head_hash:
        return _halt(state, HISTORY_DIFFERS)
    return _received(state, mark, now_ms)


def _received(state: State, mark: Watermark, now_ms: int) -> Step:
    """Take a watermark that fits our history."""
    moved = mark.upto_seq != state.acked
    news = moved or mark.standing is not state.standing
    actions: tuple[Action, ...] = (Acknowledge(mark),) if news else ()
    if mark.upto_seq < state.acked:
        actions = (*actions, Alarm(LEDGER_WENT_BACK))
        state = state._replace(flight=(), next=mark.upto_seq + 1, went_back_ms=now_ms)
    phase = Phase.LINE_UP if state.phase is Phase.HALTED else state.phase
    state = state._replace(acked=mark.upto_seq, standing=mark.standing, phase=phase)
    state = state._replace(heard_ms=mark.server_ms)
    if mark.standing is Standing.FORKED:
        halted, alarms = _halt(state, FORKED)
        return halted, (*actions, *alarms)
    flight = tuple(batch for batch in state.flight if batch.last > state.acked)
    state = state._replace(flight=flight, next=max(state.next, state.acked + 1), alarm="")
    if moved:
        state = state._replace(resend_ms=RESEND_MS)
    if mark.missing and flight and _may_go_back(state, now_ms):
        state, sends = _go_back(state._replace(went_back_ms=now_ms))
    else:
        state, sends = _pump(state)
    # The next batch first: the ledger works on it while our disk takes the watermark.
    return state, (*sends, *actions)


def _may_go_back(state: State, now_ms: int) -> bool:
    return state.went_back_ms is None or now_ms >= state.went_back_ms + GO_BACK_PAUSE_MS


def _halt(state: State, code: str) -> Step:
    """Send nothing more; tell an operator once."""
    alarms = (Alarm(code),) if state.alarm != code else ()
    halted = state._replace(phase=Phase.HALTED, flight=(), next=state.acked + 1, asked=False)
    return halted._replace(retry_ms=None, alarm=code), alarms


def _ticked(state: State, _event: Ticked, now_ms: int) -> Step:
    due = wake_ms(state)
    if due is None or now_ms < due:
        return state, ()
    if state.retry_ms is not None and now_ms >= state.retry_ms:
        return _pump(state._replace(retry_ms=None))
    slower = min(2 * state.resend_ms, RESEND_MOST_MS)
    return _go_back(state._replace(resend_ms=slower))


def _nudged(state: State, _event: Nudged, _now_ms: int) -> Step:
    return _go_back(state._replace(resend_ms=RESEND_MS))


def _head_only(state: State, event: Appended, _now_ms: int) -> Step:
    return state._replace(head=max(state.head, event.seq)), ()


_Handler = Callable[[State, Any, int], Step]
# A pair that is not in here leaves the state as it is.
TABLE: dict[tuple[Phase, type], _Handler] = {
    (Phase.LINE_DOWN, LineUp): _line_up,
    (Phase.LINE_DOWN, Appended): _head_only,
    (Phase.LINE_DOWN, Receipt): _receipt,
    (Phase.LINE_UP, LineUp): _line_up,
    (Phase.LINE_UP, LineDown): _line_down,
    (Phase.LINE_UP, Appended): _appended,
    (Phase.LINE_UP, Sent): _sent,
    (Phase.LINE_UP, NotSent): _not_sent,
    (Phase.LINE_UP, Delivered): _delivered,
    (Phase.LINE_UP, Receipt): _receipt,
    (Phase.LINE_UP, Ticked): _ticked,
    (Phase.LINE_UP, Nudged): _nudged,
    (Phase.HALTED, Appended): _head_only,
    (Phase.HALTED, Receipt): _receipt,
}


def step(state: State, event: Event, now_ms: int) -> Step:
    """Return the state after ``event`` and what to do, in this order."""
    handler = TABLE.get((state.phase, type(event)))
    return handler(state, event, now_ms) if handler else (state, ())
