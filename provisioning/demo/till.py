"""A terminal from the counter's side: its till API, and its screen as live events."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import msgspec
from msgspec import Struct

from provisioning.errors import CounterSilent

# A tap takes milliseconds; a busy machine may need seconds.
TAP_S = 6.0
# The agent answers at once, or with the order after TAP_S.
ANSWER_S = TAP_S + 10.0
WAITING = "waiting"
RESULT = "result"


class Answer(Struct, frozen=True):
    """What the till was told; ``stages_ms`` says where the time of the tap went."""

    order: str
    state: str
    code: str = ""
    tid: str = ""
    balance: int | None = None
    stages_ms: dict[str, float] = {}


class Till:
    """The till of the terminal at ``url``. For one thread at a time; close it when done.

    CounterSilent when the terminal does not answer, or answers an order with an error.
    """

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        headers = {"Authorization": f"Bearer {token}"}
        self._client = httpx.Client(
            base_url=url, headers=headers, timeout=ANSWER_S, trust_env=False
        )

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()

    def place(self, name: str, order: Mapping[str, Any]) -> Answer:
        """Place an order; the same name again gives the recorded answer."""
        return self._answer("PUT", f"/v1/orders/{name}", order)

    def answer(self, name: str) -> Answer:
        """Return the answer to an order; it may still be WAITING after TAP_S."""
        return self._answer("GET", f"/v1/orders/{name}?wait_s={TAP_S:g}")

    def cancel(self, name: str) -> None:
        """Take an order back that waits for a card; the screen is idle then."""
        self._answer("DELETE", f"/v1/orders/{name}")

    def look(self, present: Callable[[], None]) -> bool | None:
        """``present`` a card to the idle terminal; True once the screen shows a result.

        None when it shows none within TAP_S.
        """
        with self._views() as views:
            if next(views)["phase"] == RESULT:
                raise CounterSilent("the screen still shows the tap before")
            present()
            end = time.monotonic() + TAP_S
            for view in views:
                if view["phase"] == RESULT:
                    return True
                if time.monotonic() > end:
                    break
        return None

    def is_ready(self) -> bool:
        """Whether the terminal answers and can accept cards."""
        health = self._health()
        return bool(health) and not health["closed"] and health["reader"] == "ready"

    def is_online(self) -> bool:
        """Whether the terminal answers and has its line."""
        return bool(self._health().get("online"))

    def _health(self) -> dict[str, Any]:
        """What the terminal says of itself; empty when it says nothing."""
        try:
            answer = self._client.get("/healthz")
            health: dict[str, Any] = answer.json()
        except (httpx.TransportError, ValueError):
            return {}
        return health

    @contextmanager
    def _views(self) -> Iterator[Iterator[dict[str, Any]]]:
        try:
            with self._client.stream("GET", "/events", timeout=ANSWER_S) as answer:
                yield _views_in(answer.iter_lines())
        except httpx.HTTPError as error:
            raise CounterSilent(f"{self.url}: {error}") from error

    def _answer(self, method: str, path: str, document: Mapping[str, Any] | None = None) -> Answer:
        try:
            answer = self._client.request(method, path, json=document)
        except httpx.HTTPError as error:
            raise CounterSilent(f"{self.url}: {error}") from error
        if not answer.is_success:
            raise CounterSilent(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
        return msgspec.json.decode(answer.content, type=Answer)


def _views_in(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The views in a stream of server-sent events; the last one again at each beat."""
    view: dict[str, Any] = {}
    for line in lines:
        if line.startswith("data: ") and len(line) > len("data: "):
            view = json.loads(line.removeprefix("data: ")).get("view", view)
        if line.startswith("data:") and view:
            yield view
