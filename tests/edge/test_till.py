"""The till's API over real HTTP, with a small terminal behind it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

import httpx
import pytest

from edge.kiosk.guard import BODY_BYTES_MAX
from edge.kiosk.server import create_app
from edge.order import AnswerState
from edge.till import WAIT_S_MAX, create_router
from tests.edge.counter import SmallCounter
from tests.services.server import Server

TOKEN = "a-token-of-this-terminal"
SALE = {"kind": "sale", "items": [{"sku": "coffee", "quantity": 2}]}
FORM = {"code", "what", "kept", "todo", "detail"}


@pytest.fixture
def counter() -> SmallCounter:
    return SmallCounter()


@pytest.fixture
def url(counter: SmallCounter) -> Iterator[str]:
    app = create_app(counter, monotonic, routers=[create_router(counter, TOKEN)])
    with Server(app) as server:
        yield server.url


@pytest.fixture
def till(url: str) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=f"{url}/v1", headers=headers, timeout=30, trust_env=False) as client:
        yield client


def refused(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    document: dict[str, Any] = response.json()
    assert (response.status_code, document["code"]) == (status, code)
    assert document.keys() == FORM
    return document


def test_a_sale_waits_for_a_card_and_then_has_its_answer(
    till: httpx.Client, counter: SmallCounter
) -> None:
    placed = till.put("/orders/till-1", json=SALE)
    assert (placed.status_code, placed.json()["state"]) == (202, "waiting")
    answer = counter.tap(earned=56)
    got = till.get("/orders/till-1")
    assert got.status_code == 200
    document = got.json()
    assert document["state"] == "approved"
    assert (document["total"], document["earned"], document["tid"]) == (5600, 56, answer.tid)
    assert document["receipt"] == "t-0001-1-1"


def test_putting_an_order_again_returns_what_was_booked(
    till: httpx.Client, counter: SmallCounter
) -> None:
    till.put("/orders/till-1", json=SALE)
    assert till.put("/orders/till-1", json=SALE).status_code == 202
    counter.tap()
    first, second = (till.put("/orders/till-1", json=SALE) for _ in range(2))
    assert first.status_code == second.status_code == 200
    assert first.json() == second.json() == till.get("/orders/till-1").json()


def test_a_long_poll_ends_with_the_tap(till: httpx.Client, counter: SmallCounter) -> None:
    till.put("/orders/till-1", json=SALE)
    with ThreadPoolExecutor() as pool:
        polled = pool.submit(till.get, "/orders/till-1", params={"wait_s": 20})
        counter.tap(state=AnswerState.DECLINED, code="balance_too_low")
        document = polled.result().json()
    assert (document["state"], document["code"]) == ("declined", "balance_too_low")


def test_a_long_poll_ends_with_its_time(till: httpx.Client) -> None:
    till.put("/orders/till-1", json=SALE)
    got = till.get("/orders/till-1", params={"wait_s": 0.05})
    assert (got.status_code, got.json()["state"]) == (200, "waiting")


def test_a_waiting_order_can_be_cancelled(till: httpx.Client, counter: SmallCounter) -> None:
    till.put("/orders/till-1", json=SALE)
    cancelled = till.delete("/orders/till-1")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert counter.screen().order is None
    assert till.get("/orders/till-1").json()["state"] == "cancelled"


def test_top_ups_and_voids_are_orders_too(till: httpx.Client, counter: SmallCounter) -> None:
    top_up = {"kind": "top_up", "amount": 5000, "method": "cash"}
    assert till.put("/orders/till-1", json=top_up).status_code == 202
    tid = counter.tap().tid
    void = {"kind": "void", "refers_to": tid}
    assert till.put("/orders/till-2", json=void).status_code == 202
    first, second = counter.placed
    assert (first.amount, first.method) == (5000, "cash")
    assert second.refers_to == bytes.fromhex(tid)


def test_one_order_at_a_time(till: httpx.Client) -> None:
    till.put("/orders/till-1", json=SALE)
    refused(till.put("/orders/till-2", json=SALE), 409, "order_busy")


def test_another_order_under_the_same_id_is_refused(
    till: httpx.Client, counter: SmallCounter
) -> None:
    till.put("/orders/till-1", json=SALE)
    counter.tap()
    other = {"kind": "top_up", "amount": 5000, "method": "cash"}
    document = refused(till.put("/orders/till-1", json=other), 409, "order_reused")
    assert "till-1" in document["detail"]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_order_that_was_never_placed_is_unknown(till: httpx.Client, method: str) -> None:
    refused(till.request(method, "/orders/nobody"), 404, "order_unknown")


@pytest.mark.parametrize(
    ("body", "code", "place"),
    [
        (SALE | {"discount": 1}, "unknown_field", "discount"),
        ({"kind": "sale", "items": [{"sku": "tea", "size": "l"}]}, "unknown_field", "size"),
        ({"kind": "sale", "items": [{"sku": "coffee", "quantity": "2"}]}, "bad_body", "quantity"),
        ({"kind": "sale", "items": [{"sku": "coffee", "quantity": 1.5}]}, "bad_body", "quantity"),
        ({"kind": "sale", "items": [{"sku": "coffee", "quantity": True}]}, "bad_body", "quantity"),
        ({"kind": "sale", "items": [{"sku": "coffee", "quantity": 0}]}, "bad_amount", "0"),
        ({"kind": "sale", "items": []}, "bad_order", "items"),
        ({"kind": "sale", "items": [{"sku": "moon"}]}, "unknown_product", "moon"),
        ({"kind": "sale"}, "bad_body", "items"),
        ({"kind": "gift"}, "bad_body", "kind"),
        ({}, "bad_body", "kind"),
        ([], "bad_body", ""),
        ({"kind": "top_up", "amount": -5, "method": "cash"}, "bad_amount", "-5"),
        ({"kind": "top_up", "amount": 5000, "method": "stored_value"}, "bad_order", "method"),
        ({"kind": "void", "refers_to": "xyz"}, "bad_order", "refers_to"),
        ({"kind": "void", "refers_to": "00ff"}, "bad_order", "refers_to"),
    ],
)
def test_a_wrong_order_is_refused_with_its_place(
    till: httpx.Client, counter: SmallCounter, body: object, code: str, place: str
) -> None:
    document = refused(till.put("/orders/till-1", json=body), 422, code)
    assert place in document["detail"]
    assert counter.placed == []


def test_what_is_no_json_is_refused(till: httpx.Client) -> None:
    headers = {"Content-Type": "application/json"}
    refused(till.put("/orders/till-1", content=b'{"kind":', headers=headers), 422, "bad_body")
    refused(till.put("/orders/till-1"), 422, "bad_body")


@pytest.mark.parametrize("order", ["a" * 65, "a%20b", "%E4%BD%99"])
def test_an_order_id_is_a_word(till: httpx.Client, order: str) -> None:
    refused(till.put(f"/orders/{order}", json=SALE), 422, "bad_body")


@pytest.mark.parametrize("wait_s", [-1, WAIT_S_MAX + 1, "nan", "long"])
def test_nobody_waits_for_ever(till: httpx.Client, wait_s: object) -> None:
    refused(till.get(f"/orders/till-1?wait_s={wait_s}"), 422, "bad_body")


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN}x", TOKEN, "Bearer t\u00f6ken"],
)
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def test_nobody_without_the_token(
    url: str, counter: SmallCounter, method: str, header: str
) -> None:
    headers = [(b"Authorization", header.encode())] if header else []
    response = httpx.request(
        method, f"{url}/v1/orders/till-1", json={"no": "order"}, headers=headers, trust_env=False
    )
    refused(response, 401, "token_wrong")
    assert response.headers["www-authenticate"] == "Bearer"
    assert TOKEN not in response.text
    assert counter.placed == []


def test_a_terminal_without_a_token_has_no_till(counter: SmallCounter) -> None:
    app = create_app(counter, monotonic, routers=[create_router(counter, "")])
    with Server(app) as server:
        headers = {"Authorization": "Bearer"}
        response = httpx.get(f"{server.url}/v1/orders/a", headers=headers, trust_env=False)
    refused(response, 401, "token_wrong")


def test_a_body_has_a_limit(till: httpx.Client) -> None:
    refused(till.put("/orders/till-1", content=b"x" * (BODY_BYTES_MAX + 1)), 413, "too_large")
    refused(till.put("/orders/till-1", content=iter([b"x"])), 413, "too_large")


def test_another_name_is_refused(till: httpx.Client) -> None:
    for name in ("evil.example", "127.0.0.1.evil.example", "[", ""):
        refused(till.get("/orders/till-1", headers={"Host": name}), 403, "foreign_page")


def test_a_receipt_is_printed_when_the_till_asks_and_again_as_a_copy(
    till: httpx.Client, counter: SmallCounter
) -> None:
    refused(till.post("/orders/till-1/receipt"), 404, "order_unknown")
    till.put("/orders/till-1", json=SALE)
    counter.tap()
    refused(till.post("/orders/till-1/receipt"), 409, "no_printer")
    counter.show(printer="ready")
    refused(till.get("/orders/till-1/receipt"), 404, "receipt_unasked")
    asked = till.post("/orders/till-1/receipt")
    document = {"order": "till-1", "receipt": "t-0001-1-1", "state": "printed", "copy": 0}
    assert (asked.status_code, asked.json()) == (202, document)
    assert till.get("/orders/till-1/receipt").json() == document
    assert till.post("/orders/till-1/receipt").json() == {**document, "copy": 1}
    till.put("/orders/till-2", json=SALE)
    counter.tap(state=AnswerState.DECLINED, code="balance_too_low", receipt="")
    refused(till.post("/orders/till-2/receipt"), 409, "no_receipt")


def test_every_wrong_address_has_the_same_form(till: httpx.Client) -> None:
    refused(till.get("/nowhere"), 404, "unknown_address")
    refused(till.post("/orders/till-1", json=SALE), 404, "unknown_address")


def test_the_api_describes_itself(till: httpx.Client) -> None:
    document = till.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert list(document["paths"]) == ["/v1/orders/{order}", "/v1/orders/{order}/receipt"]
    assert document["components"]["schemas"]["Sale"]["additionalProperties"] is False
