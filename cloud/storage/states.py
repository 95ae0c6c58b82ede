"""A member's checkpoint as columns, so that the database can be asked about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from protocol.membership.event import Order
from protocol.membership.state import State

_TID_BYTES = 16
COLUMNS = (
    "principal",
    "overdraft",
    "points",
    "points_debt",
    "qualifying",
    "newest_ms",
    "newest_priority",
    "newest_terminal",
    "newest_epoch",
    "newest_seq",
    "waiting_voids",
)


def columns_of(state: State) -> tuple[Any, ...]:
    """The values of COLUMNS."""
    return (
        state.principal,
        state.overdraft,
        state.points,
        state.points_debt,
        state.qualifying,
        *state.newest,
        b"".join(state.waiting_voids),
    )


def state_of(values: Sequence[Any]) -> State:
    """The state in the values of COLUMNS."""
    joined: bytes = values[10]
    voids = (
        tuple(joined[at : at + _TID_BYTES] for at in range(0, len(joined), _TID_BYTES))
        if joined
        else ()
    )
    principal, overdraft, points, debt, qualifying = values[:5]
    return State(principal, overdraft, points, debt, qualifying, Order(*values[5:10]), voids)
