"""What a till or kiosk asks the terminal for, and the answer. Deciding is left to decide."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from edge.errors import BadOrder
from protocol.money import checked_amount, checked_quantity
from protocol.record import LINES_MAX

# It stands in the record (Text, 64 characters) and in a URL path.
OrderId = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"\A[A-Za-z0-9_.:-]+\Z")]
# What a till takes itself: for a top-up, or for a sale that the card only earns by.
TILL_METHODS = ("cash", "bank_card", "wechat", "alipay")


class OrderKind(StrEnum):
    """What the next card is wanted for."""

    SALE = "sale"  # items, paid from stored value, or to the till by method
    TOP_UP = "top_up"  # amount, paid by method
    VOID = "void"  # takes back the transaction refers_to


class Item(Struct, frozen=True):
    """A product of the bundle in force."""

    sku: str
    quantity: int


class Order(Struct, frozen=True, kw_only=True):
    """``amount`` in minor units; ``refers_to`` is a tid (16 bytes). Made by the functions below."""

    id: OrderId
    kind: OrderKind
    items: tuple[Item, ...] = ()
    amount: int = 0
    method: str = ""
    refers_to: bytes | None = None


class AnswerState(StrEnum):
    """Where an order stands."""

    WAITING = "waiting"
    APPROVED = "approved"
    DECLINED = "declined"
    CANCELLED = "cancelled"


class Answer(Struct, frozen=True, kw_only=True):
    """The answer document of an order (msgspec.to_builtins makes it), or of a tap without one.

    Amounts in minor units. ``balance`` and ``points`` are those after it, None when no member is
    known; ``card_balance`` is what the purse on the card holds, None when it has none. ``tid`` in
    hex; empty, as ``receipt`` and ``epoch``/``seq`` are 0, while no record is. ``kind``: what was
    booked: ``sale``, ``top_up`` or ``void``; ``method`` how it was paid. ``code``: why declined or
    cancelled; ``balance_shown`` for a tap without an order.
    """

    order: str
    state: AnswerState
    kind: str = ""
    method: str = ""
    code: str = ""
    tid: str = ""
    epoch: int = 0
    seq: int = 0
    receipt: str = ""
    total: int = 0
    earned: int = 0
    balance: int | None = None
    card_balance: int | None = None
    points: int | None = None
    tier: str = ""
    offline: bool = False
    bundle: int = 0
    stages_ms: dict[str, float] = {}


def sale(order: str, items: tuple[Item, ...], method: str = "") -> Order:
    """Return the order of a sale; BadOrder or BadAmount when it cannot be one.

    Without ``method`` the card pays; with one of TILL_METHODS the till was paid and the card earns.
    """
    if not 1 <= len(items) <= LINES_MAX:
        raise BadOrder(f"a sale has 1 to {LINES_MAX} items")
    if len({item.sku for item in items}) != len(items):
        raise BadOrder("a product stands twice; use its quantity")
    for item in items:
        checked_quantity(item.quantity)
    if method:
        _check_method(method)
    return Order(id=order, kind=OrderKind.SALE, items=items, method=method)


def top_up(order: str, amount: int, method: str) -> Order:
    """Return the order of a top-up; BadOrder or BadAmount when it cannot be one."""
    if checked_amount(amount) == 0:
        raise BadOrder("a top-up has an amount")
    _check_method(method)
    return Order(id=order, kind=OrderKind.TOP_UP, amount=amount, method=method)


def _check_method(method: str) -> None:
    if method not in TILL_METHODS:
        raise BadOrder(f"method is one of {', '.join(TILL_METHODS)}")


def void(order: str, refers_to: bytes) -> Order:
    """Return the order that takes back the transaction ``refers_to``; BadOrder for a wrong tid."""
    if len(refers_to) != 16:
        raise BadOrder("refers_to is the tid of a transaction: 32 hex characters")
    return Order(id=order, kind=OrderKind.VOID, refers_to=refers_to)
