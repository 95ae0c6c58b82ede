"""A small terminal behind the Counter port: orders, taps and screens, without a journal."""

from __future__ import annotations

from threading import Condition
from typing import Any

from msgspec import structs

from drivers.printers.job import JobState
from edge.errors import (
    NoPrinter,
    NoReceipt,
    OrderBusy,
    OrderReused,
    OrderUnknown,
    ReceiptUnasked,
)
from edge.order import Answer, AnswerState, Order, OrderKind
from edge.ports import Print, Screen
from edge.tap_flow import Phase
from protocol.errors import UnknownProduct
from protocol.record import Line
from protocol.rules.bundle import Product

PRODUCTS = (
    Product("coffee", 2800, "拿铁咖啡", "Coffee"),
    Product("green-tea", 1800, "龙井绿茶", "Green tea"),
    Product("juice", 2200, "鲜榨橙汁", "Orange juice"),
    Product("cake", 3200, "红丝绒蛋糕", "Red velvet cake"),
    Product("bread", 1200, "全麦面包", "Wholemeal bread"),
    Product("sandwich", 2600, "鸡肉三明治", "Chicken sandwich"),
    Product("salad", 3600, "田园沙拉", "Garden salad"),
    Product("hamper", 8800, "礼盒", "Gift box"),
    Product("dumplings", 2200, "鲜肉水饺", "Dumplings"),
)
START = Screen(
    revision=1,
    phase=Phase.ATTRACT,
    online=True,
    reader="ready",
    terminal="t-0001",
    bundle=7,
    currency="CNY",
    products=PRODUCTS,
)


class SmallCounter:
    """Honours edge.ports.Counter; ``tap`` and ``show`` are what a card and the world do to it."""

    def __init__(self, screen: Screen = START) -> None:
        self._screen = screen
        self._changed = Condition()
        self._answers: dict[str, Answer] = {}
        self._booked = 0
        self._prints: dict[str, Print] = {}
        self._ends = False
        self.placed: list[Order] = []

    def place(self, order: Order) -> Answer:
        """See the port."""
        with self._changed:
            before = next((each for each in self.placed if each.id == order.id), order)
            if before != order:
                raise OrderReused(order.id)
            recorded = self._answers.get(order.id)
            if recorded is not None:
                return recorded
            screen = self._screen
            if screen.phase is Phase.WAITING_CARD and screen.order != order:
                raise OrderBusy
            lines = self._lines(order)
            total = sum(line.net_price for line in lines)
            self.placed.append(order)
            self._show(phase=Phase.WAITING_CARD, order=order, lines=lines, total=total, answer=None)
            return Answer(order=order.id, state=AnswerState.WAITING)

    def answer(self, order_id: str, wait_s: float) -> Answer:
        """See the port."""
        with self._changed:
            if order_id not in self._answers and not self._waits(order_id):
                raise OrderUnknown(order_id)
            self._changed.wait_for(lambda: order_id in self._answers, wait_s)
            return self._answers.get(order_id) or Answer(order=order_id, state=AnswerState.WAITING)

    def cancel(self, order_id: str) -> Answer:
        """See the port."""
        with self._changed:
            if order_id in self._answers:
                return self._answers[order_id]
            if not self._waits(order_id):
                raise OrderUnknown(order_id)
            answer = Answer(order=order_id, state=AnswerState.CANCELLED, code="cancelled")
            self._answers[order_id] = answer
            self._show(phase=Phase.ATTRACT, order=None, lines=(), total=0)
            return answer

    def ask_receipt(self, order_id: str) -> Print:
        """See the port."""
        with self._changed:
            before = self._prints.get(order_id)
            answer = self.answer(order_id, 0)
            if not self._screen.printer:
                raise NoPrinter
            if not answer.receipt:
                raise NoReceipt(order_id)
            copy = before.copy + 1 if before else 0
            self._prints[order_id] = Print(order_id, answer.receipt, JobState.PRINTED, copy)
            return self._prints[order_id]

    def receipt(self, order_id: str) -> Print:
        """See the port."""
        if order_id not in self._prints:
            raise ReceiptUnasked(order_id)
        return self._prints[order_id]

    def screen(self) -> Screen:
        """See the port."""
        return self._screen

    def wait_screen(self, after: int, wait_s: float) -> Screen:
        """See the port."""
        with self._changed:
            self._changed.wait_for(lambda: self._ends or self._screen.revision > after, wait_s)
            return self._screen

    def open(self) -> None:
        """The terminal starts."""
        self._ends = False

    def close(self) -> None:
        """The terminal ends."""
        with self._changed:
            self._ends = True
            self._changed.notify_all()

    def tap(self, **facts: Any) -> Answer:
        """A card answers the order that waits or shows its balance; ``facts`` replace the usual."""
        with self._changed:
            waits = self._screen.phase is Phase.WAITING_CARD
            order, total = (self._screen.order, self._screen.total) if waits else (None, 0)
            self._booked += 1
            answer = Answer(
                order=order.id if order else "",
                state=AnswerState.APPROVED,
                kind=order.kind if order else "",
                code="" if order else "balance_shown",
                tid=f"{self._booked:032x}",
                epoch=1,
                seq=self._booked,
                receipt=f"t-0001-1-{self._booked}" if order else "",
                total=order.amount if order and order.kind is OrderKind.TOP_UP else total,
                balance=7200,
                points=1280,
                tier="gold",
                bundle=self._screen.bundle,
                offline=not self._screen.online,
            )
            answer = structs.replace(answer, **facts)
            self._answers[answer.order] = answer
            self._show(phase=Phase.RESULT, order=None, answer=answer, lasts_s=6.0)
            return answer

    def show(self, **changes: Any) -> Screen:
        """Something else changed what can be seen."""
        with self._changed:
            return self._show(**changes)

    def reset(self, **changes: Any) -> Screen:
        """As ``show``, from the screen that nobody stands in front of."""
        with self._changed:
            self._screen = structs.replace(START, revision=self._screen.revision)
            return self._show(**changes)

    def _waits(self, order_id: str) -> bool:
        screen = self._screen
        waiting = screen.order if screen.phase is Phase.WAITING_CARD else None
        return waiting is not None and waiting.id == order_id

    def _lines(self, order: Order) -> tuple[Line, ...]:
        prices = {product.sku: product.price for product in self._screen.products}
        for item in order.items:
            if item.sku not in prices:
                raise UnknownProduct(item.sku)
        return tuple(
            Line(item.sku, item.quantity, *(prices[item.sku] * item.quantity,) * 2)
            for item in order.items
        )

    def _show(self, **changes: Any) -> Screen:
        changes = {"lasts_s": 0.0, "problem": ""} | changes
        revision = self._screen.revision + 1
        self._screen = structs.replace(self._screen, revision=revision, **changes)
        self._changed.notify_all()
        return self._screen
