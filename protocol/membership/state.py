"""What a member's account holds after a set of events: what a snapshot carries."""

from __future__ import annotations

from msgspec import Struct

from protocol.membership.event import START, Order
from protocol.record import Count, Ident


class State(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Amounts in minor units; at most one of principal and overdraft, points and debt is not 0.

    ``newest`` is the place of the last event in it. ``waiting_voids`` name transactions that were
    taken back before they arrived.
    """

    principal: Count = 0
    overdraft: Count = 0
    points: Count = 0
    points_debt: Count = 0
    qualifying: Count = 0
    newest: Order = START
    waiting_voids: tuple[Ident, ...] = ()

    @property
    def balance(self) -> int:
        """Stored value as the member sees it: negative when overdrawn."""
        return self.principal - self.overdraft


EMPTY = State()
