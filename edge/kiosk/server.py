"""The terminal's one HTTP server: the page, its live events and its few actions.

What the page shows is left to view; the till's routes are handed in.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path

import msgspec
from anyio import to_thread
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Gauge,
    Histogram,
    generate_latest,
)
from pydantic import BaseModel, ConfigDict, Field

from edge import order as orders
from edge.errors import BadOrder, TooManyPages
from edge.kiosk import texts
from edge.kiosk.errors import answer_errors
from edge.kiosk.guard import Guard, check_origin
from edge.kiosk.model import Texts, View
from edge.kiosk.view import KIOSK_ORDER, view
from edge.order import Item, Order
from edge.ports import Counter, Screen
from edge.tap_flow import Phase
from protocol.errors import BadAmount

PAGES = Path(__file__).parent / "pages"
# A page that hears nothing for three beats knows that the agent is gone. It is also how long a
# thread may still wait when the agent stops.
BEAT_S = 2.0
# A terminal has one screen; the others are for whoever looks after it. Each holds a thread.
PAGES_MAX = 4
# Bounds of the time from an event being sent to it being painted; the page aims below 0.3 s.
_PAINT_S = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0)

_DEVICES = ("reader", "scanner", "printer")
_USABLE = ("ready", "card")
_HEALTH = ("phase", "closed", *_DEVICES, "online", "queue")
_OrderId = Field(pattern=rf"^{KIOSK_ORDER}[0-9a-f-]{{36}}$")


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class BasketItem(_Body):
    """A product in the basket."""

    sku: str = Field(max_length=40)
    quantity: int


class KioskOrder(_Body):
    """A basket, or an amount to pay in. The page names the order, so that it may send it again."""

    order: str = _OrderId
    items: list[BasketItem] = Field(default=[], max_length=100)
    top_up: int = 0


class KioskCancel(_Body):
    """An order of the page that shall wait no longer."""

    order: str = _OrderId


class KioskReceipt(_Body):
    """An order, of the page or of a till, whose answer the page shows and whose receipt it asks."""

    order: str = Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")


class Seen(_Body):
    """The page painted the event that was sent at ``stamp``, seconds of the server's clock."""

    stamp: float


def create_app(
    counter: Counter,
    monotonic: Callable[[], float],
    *,
    routers: Sequence[APIRouter] = (),
    top_ups: tuple[int, ...] = (),
    receipts: bool = False,
) -> FastAPI:
    """Return the terminal's server.

    ``top_ups``: amounts in minor units that the page offers to be paid in cash; none unless staff
    stand beside it. ``receipts``: it offers to print them. Live events end when the counter's waits
    do.
    """
    metrics = CollectorRegistry()
    app = FastAPI(
        title="tapledger terminal", docs_url=None, redoc_url=None, openapi_url="/v1/openapi.json"
    )
    app.add_middleware(Guard)
    answer_errors(app)
    said = texts.load()
    shown = partial(view, texts=said, top_ups=top_ups, receipts=receipts)
    for router in (
        _live(counter, monotonic, shown, metrics),
        _actions(counter, top_ups),
        _state(counter, said, metrics),
        *routers,
    ):
        app.include_router(router)
    app.mount("/", StaticFiles(directory=PAGES, html=True))
    return app


def _live(
    counter: Counter,
    monotonic: Callable[[], float],
    shown: Callable[[Screen], View],
    metrics: CollectorRegistry,
) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    pages = _pages_digest()
    paint = Histogram(
        "tapledger_kiosk_paint_seconds",
        "From an event being sent to the page having painted it",
        buckets=_PAINT_S,
        registry=metrics,
    )
    streams: set[Request] = set()

    async def stream(request: Request) -> AsyncIterator[bytes]:
        try:
            yield b"retry: 500\n\n"
            yield _event("hello", msgspec.json.encode({"pages": pages}))
            screen = counter.screen()
            while True:
                message = {"stamp": monotonic(), "view": shown(screen)}
                yield _event("view", msgspec.json.encode(message))
                revision = screen.revision
                while screen.revision == revision:
                    yield _event("beat", b"")
                    begun = monotonic()
                    wait = partial(counter.wait_screen, revision, BEAT_S)
                    screen = await to_thread.run_sync(wait, abandon_on_cancel=True)
                    if screen.revision == revision and monotonic() - begun < BEAT_S / 2:
                        return  # nobody waits any more: the terminal ends
        finally:
            streams.discard(request)

    @router.get("/events")
    async def events(request: Request) -> StreamingResponse:
        if len(streams) >= PAGES_MAX:
            raise TooManyPages
        streams.add(request)
        return StreamingResponse(stream(request), media_type="text/event-stream")

    @router.post("/seen", status_code=204, dependencies=[Depends(_same_origin)])
    async def seen(body: Seen) -> None:
        paint.observe(max(0.0, monotonic() - body.stamp))

    return router


def _actions(counter: Counter, top_ups: tuple[int, ...]) -> APIRouter:
    router = APIRouter(
        prefix="/kiosk", include_in_schema=False, dependencies=[Depends(_same_origin)]
    )

    @router.post("/order")
    def place(body: KioskOrder) -> Response:
        return _json(counter.place(_order(body, top_ups)))

    @router.post("/cancel")
    def cancel(body: KioskCancel) -> Response:
        return _json(counter.cancel(body.order))

    @router.post("/receipt")
    def receipt(body: KioskReceipt) -> Response:
        return _json(counter.ask_receipt(body.order))

    return router


def _state(counter: Counter, said: Texts, metrics: CollectorRegistry) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    ready = Gauge(
        "tapledger_device_ready",
        "1 while the reader, scanner or printer can be used",
        ["device"],
        registry=metrics,
    )

    @router.get("/texts.json")
    async def page_texts() -> Response:
        return _json(said)

    @router.get("/healthz")
    async def healthz() -> Response:
        """200 while the terminal can answer taps, 503 while its disk refuses."""
        screen = counter.screen()
        health = {name: getattr(screen, name) for name in _HEALTH}
        return _json(health, 503 if screen.phase is Phase.CANNOT_ACCEPT else 200)

    @router.get("/metrics")
    async def exposition() -> Response:
        screen = counter.screen()
        for name in _DEVICES:
            if health := getattr(screen, name):
                ready.labels(name).set(health in _USABLE)
        return Response(generate_latest(metrics), media_type=CONTENT_TYPE_LATEST)

    return router


def _order(body: KioskOrder, top_ups: tuple[int, ...]) -> Order:
    if not body.top_up:
        return orders.sale(body.order, tuple(Item(each.sku, each.quantity) for each in body.items))
    if body.items:
        raise BadOrder("a basket and a top-up are two orders")
    if body.top_up not in top_ups:
        raise BadAmount(f"{body.top_up} is not offered here")
    return orders.top_up(body.order, body.top_up, "cash")


def _json(document: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(document), status, media_type="application/json")


def _event(name: str, data: bytes) -> bytes:
    """One server-sent event; JSON has no line breaks of its own."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)


def _pages_digest() -> str:
    """Names what the pages are, so that an open page reloads itself after an update."""
    digest = sha256()
    for path in sorted(PAGES.rglob("*")):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


async def _same_origin(request: Request) -> None:
    check_origin(request.headers)
