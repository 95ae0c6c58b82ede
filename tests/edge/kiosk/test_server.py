"""The terminal's server without a browser: who may ask, what is streamed, what is told of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from time import monotonic
from typing import Any
from uuid import UUID

import httpx
import pytest

from edge.kiosk.server import PAGES_MAX
from edge.kiosk.view import KIOSK_ORDER
from edge.tap_flow import Phase
from tests.edge.counter import SmallCounter
from tests.edge.kiosk.conftest import TOP_UPS
from tests.services.server import Server

ORDER = f"{KIOSK_ORDER}{UUID(int=7)}"
SALE = {"order": ORDER, "items": [{"sku": "coffee", "quantity": 1}]}


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    headers = {"Origin": server.url}
    with httpx.Client(base_url=server.url, headers=headers, timeout=20, trust_env=False) as client:
        yield client


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    """The events of a stream as (name, data)."""
    name = ""
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data" and value:
            yield name, json.loads(value)


def test_the_page_orders_and_cancels(client: httpx.Client, counter: SmallCounter) -> None:
    assert client.post("/kiosk/order", json=SALE).json()["state"] == "waiting"
    assert client.post("/kiosk/order", json=SALE).json()["state"] == "waiting"
    assert client.post("/kiosk/cancel", json={"order": ORDER}).json()["state"] == "cancelled"
    assert counter.screen().phase is Phase.ATTRACT


@pytest.mark.parametrize("origin", ["", "null", "http://evil.example", "http://127.0.0.1"])
@pytest.mark.parametrize("path", ["/kiosk/order", "/kiosk/cancel", "/kiosk/receipt", "/seen"])
def test_a_foreign_page_may_do_nothing(
    server: Server, counter: SmallCounter, path: str, origin: str
) -> None:
    headers = {"Origin": origin} if origin else {}
    response = httpx.post(f"{server.url}{path}", json=SALE, headers=headers, trust_env=False)
    assert code(response) == (403, "foreign_page")
    assert counter.placed == []


@pytest.mark.parametrize("path", ["/", "/events", "/texts.json", "/metrics", "/kiosk/order"])
def test_a_foreign_name_reads_nothing(client: httpx.Client, path: str) -> None:
    response = client.get(path, headers={"Host": "evil.example"})
    assert code(response) == (403, "foreign_page")


@pytest.mark.parametrize("path", ["/", "/kiosk.js", "/texts.json", "/nowhere", "/healthz"])
def test_every_answer_is_under_the_strict_policy(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert not [name for name in headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"order": ORDER, "top_up": 5001}, "bad_amount"),
        ({"order": ORDER, "top_up": -TOP_UPS[0]}, "bad_amount"),
        (SALE | {"top_up": TOP_UPS[0]}, "bad_order"),
        ({"order": ORDER}, "bad_order"),
        (SALE | {"order": "till-1"}, "bad_body"),
        (SALE | {"price": 1}, "unknown_field"),
    ],
)
def test_a_page_cannot_order_what_it_does_not_offer(
    client: httpx.Client, counter: SmallCounter, body: object, expected: str
) -> None:
    assert code(client.post("/kiosk/order", json=body)) == (422, expected)
    assert counter.placed == []


def test_a_page_tops_up_in_cash(client: httpx.Client, counter: SmallCounter) -> None:
    client.post("/kiosk/order", json={"order": ORDER, "top_up": TOP_UPS[0]})
    assert (counter.placed[0].amount, counter.placed[0].method) == (TOP_UPS[0], "cash")


def test_a_page_cannot_cancel_the_tills_order(client: httpx.Client) -> None:
    assert code(client.post("/kiosk/cancel", json={"order": "till-1"})) == (422, "bad_body")


def test_each_change_is_streamed(client: httpx.Client, counter: SmallCounter) -> None:
    with client.stream("GET", "/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        stream = events(response.iter_lines())
        assert next(stream)[0] == "hello"
        assert next(stream)[1]["view"]["offline"] is None
        screen = counter.show(online=False, queue=3)
        name, data = next(stream)
        assert (name, data["view"]["revision"]) == ("view", screen.revision)
        assert "3" in data["view"]["offline"]["zh"]


def test_live_pages_are_limited_and_make_room_when_they_close(client: httpx.Client) -> None:
    with ExitStack() as pages:
        streams = [
            events(pages.enter_context(client.stream("GET", "/events")).iter_lines())
            for _ in range(PAGES_MAX)
        ]
        assert [next(stream)[0] for stream in streams] == ["hello"] * PAGES_MAX
        assert code(client.get("/events")) == (503, "too_many_pages")
    deadline = monotonic() + 10
    status = 503
    while status == 503 and monotonic() < deadline:
        with client.stream("GET", "/events") as response:
            status = response.status_code
    assert status == 200


def test_health_says_whether_taps_are_answered(client: httpx.Client, counter: SmallCounter) -> None:
    assert client.get("/healthz").status_code == 200
    counter.show(phase=Phase.CANNOT_ACCEPT, closed="journal_refused")
    response = client.get("/healthz")
    assert (response.status_code, response.json()["closed"]) == (503, "journal_refused")


def test_the_page_asks_for_a_receipt(client: httpx.Client, counter: SmallCounter) -> None:
    client.post("/kiosk/order", json=SALE)
    counter.tap()
    assert code(client.post("/kiosk/receipt", json={"order": ORDER})) == (409, "no_printer")
    counter.show(printer="ready")
    assert client.post("/kiosk/receipt", json={"order": ORDER}).json()["state"] == "printed"
    assert code(client.post("/kiosk/receipt", json={"order": "a b"})) == (422, "bad_body")


def test_how_its_devices_are_is_told(client: httpx.Client, counter: SmallCounter) -> None:
    counter.show(reader="card", printer="paper")
    health = client.get("/healthz").json()
    assert (health["reader"], health["scanner"], health["printer"]) == ("card", "", "paper")
    metrics = client.get("/metrics").text
    assert 'tapledger_device_ready{device="reader"} 1.0' in metrics
    assert 'tapledger_device_ready{device="printer"} 0.0' in metrics
    assert 'device="scanner"' not in metrics


def test_a_painted_event_is_measured(client: httpx.Client) -> None:
    with client.stream("GET", "/events") as response:
        stamp = next(data for name, data in events(response.iter_lines()) if name == "view")[
            "stamp"
        ]
    assert client.post("/seen", json={"stamp": stamp}).status_code == 204
    assert client.post("/seen", content=b'{"stamp": NaN}').status_code == 422
    metrics = client.get("/metrics").text
    assert "tapledger_kiosk_paint_seconds_count 1.0" in metrics
    assert 'tapledger_kiosk_paint_seconds_bucket{le="2.0"} 1.0' in metrics
