"""The till's API: a till asks for a sale, a top-up or a void, and fetches the answer.

An order id names one order for ever: putting it again returns what was booked, and putting
another order under it is refused. A receipt is printed when the till
asks for it. Deciding, recording and printing are left to the counter.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Depends, Header, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from edge import order as orders
from edge.errors import BadOrder, TokenWrong
from edge.order import Answer, AnswerState, Item, Order
from edge.ports import Counter, Print

# Below the 30 s after which clients and proxies give up on a silent answer.
WAIT_S_MAX = 25.0

_OrderId = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.:-]+$")]
_Wait = Annotated[float, Query(ge=0, le=WAIT_S_MAX, allow_inf_nan=False)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class SaleItem(_Body):
    """A product of the bundle in force."""

    sku: str = Field(max_length=40)
    quantity: int = 1


class Sale(_Body):
    """Paid from the card's stored value; with ``method`` the till was paid and the card earns."""

    kind: Literal["sale"]
    items: list[SaleItem]
    method: str = Field(default="", max_length=40)


class TopUp(_Body):
    """``amount`` in minor units, which the till has taken by ``method``."""

    kind: Literal["top_up"]
    amount: int
    method: str = Field(max_length=40)


class Void(_Body):
    """Takes back the transaction whose tid is ``refers_to``, 32 hex characters."""

    kind: Literal["void"]
    refers_to: str = Field(max_length=40)


OrderBody = Annotated[Sale | TopUp | Void, Field(discriminator="kind")]


def create_router(counter: Counter, token: str) -> APIRouter:
    """Return the routes of the till; each asks for ``token`` as a bearer token."""
    expected = f"Bearer {token}".encode()

    async def authorise(authorization: Annotated[str, Header()] = "") -> None:
        if not token or not compare_digest(authorization.encode(), expected):
            raise TokenWrong

    router = APIRouter(prefix="/v1/orders", tags=["till"], dependencies=[Depends(authorise)])

    @router.put("/{order}", response_class=Response)
    def place(order: _OrderId, body: OrderBody) -> Response:
        """Hold the order for the next card: 202 while it waits, 200 with its answer after."""
        return _document(counter.place(_order(order, body)), waiting=202)

    @router.get("/{order}", response_class=Response)
    def answer(order: _OrderId, wait_s: _Wait = 0) -> Response:
        """Return the answer, once there is one or ``wait_s`` seconds are over."""
        return _document(counter.answer(order, wait_s))

    @router.delete("/{order}", response_class=Response)
    def cancel(order: _OrderId) -> Response:
        """Cancel the order if it still waits; the answer says whether that came in time."""
        return _document(counter.cancel(order))

    @router.post("/{order}/receipt", response_class=Response, status_code=202)
    def ask_receipt(order: _OrderId) -> Response:
        """Have the receipt printed; again and as a COPY when it may be on paper already."""
        return _json(counter.ask_receipt(order), 202)

    @router.get("/{order}/receipt", response_class=Response)
    def receipt(order: _OrderId) -> Response:
        """Return whether the receipt is queued, printing, printed or unknown."""
        return _json(counter.receipt(order))

    return router


def _order(order: str, body: Sale | TopUp | Void) -> Order:
    match body:
        case Sale():
            items = tuple(Item(each.sku, each.quantity) for each in body.items)
            return orders.sale(order, items, body.method)
        case TopUp():
            return orders.top_up(order, body.amount, body.method)
        case Void():
            return orders.void(order, _tid(body.refers_to))


def _tid(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise BadOrder("refers_to is the tid of a transaction: 32 hex characters") from error


def _document(answer: Answer, waiting: int = 200) -> Response:
    status = waiting if answer.state is AnswerState.WAITING else 200
    return _json(answer, status)


def _json(document: Answer | Print, status: int = 200) -> Response:
    return Response(msgspec.json.encode(document), status, media_type="application/json")
