"""A write that is sent twice happens once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from cloud.http.idempotency import KEEP_MS, REPLAYED
from cloud.http.identity import Role
from tests.cloud.front import Front, contents

Api = Callable[[Role | None], httpx.Client]
KEY = {"Idempotency-Key": "a-key-of-the-caller"}


def test_a_repeat_gets_the_first_answer(front: Front, api: Api) -> None:
    client = api(Role.ADMIN)
    first = client.post("/v1/members", json={"name": "Lin"}, headers=KEY)
    before = contents(front.database)
    second = client.post("/v1/members", json={"name": "Lin"}, headers=KEY)
    assert first.status_code == second.status_code == 201
    assert first.content == second.content
    assert (REPLAYED in first.headers, second.headers[REPLAYED]) == (False, "true")
    assert contents(front.database) == before
    assert front.line.said == [("members", "")]


def test_without_a_key_two_requests_are_two(front: Front, api: Api) -> None:
    client = api(Role.ADMIN)
    made = {client.post("/v1/members", json={"name": "Lin"}).json()["member"] for _ in range(2)}
    assert len(made) == 2


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/members", {"name": "Wang"}), ("/v1/members/", {"name": "Lin"})],
    ids=["another body", "another path"],
)
def test_a_key_belongs_to_one_request(
    front: Front, api: Api, path: str, body: dict[str, str]
) -> None:
    client = api(Role.ADMIN)
    client.post("/v1/members", json={"name": "Lin"}, headers=KEY)
    before = contents(front.database)
    if path.endswith("/"):
        path, body = "/v1/cards", {"reference": "00" * 16, "member": "m-1", "family": "cpu"}
    answer = client.post(path, json=body, headers=KEY)
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_reused")
    assert contents(front.database) == before


def test_a_key_is_its_callers_own(front: Front, api: Api) -> None:
    first = api(Role.ADMIN).post("/v1/members", json={"name": "Lin"}, headers=KEY)
    other = api(Role.OPERATOR).post("/v1/members", json={"name": "Lin"}, headers=KEY)
    assert first.json()["member"] != other.json()["member"]


def test_a_refused_request_may_be_corrected_under_its_key(front: Front, api: Api) -> None:
    client = api(Role.ADMIN)
    card = {"reference": "00" * 16, "member": "m-000001", "family": "cpu"}
    assert client.post("/v1/cards", json=card, headers=KEY).json()["code"] == "unknown_member"
    client.post("/v1/members", json={"member": "m-000001", "name": "Lin"})
    assert client.post("/v1/cards", json=card, headers=KEY).status_code == 201


def test_an_answer_is_kept_for_a_day(front: Front, api: Api) -> None:
    client = api(Role.ADMIN)
    first = client.post("/v1/members", json={"name": "Lin"}, headers=KEY)
    front.now_ms += KEEP_MS + 1
    client.post("/v1/members", json={"name": "Wang"}, headers={"Idempotency-Key": "another"})
    second = client.post("/v1/members", json={"name": "Lin"}, headers=KEY)
    assert first.json()["member"] != second.json()["member"]


def test_repeats_at_the_same_moment_happen_once(front: Front, api: Api) -> None:
    client = api(Role.ADMIN)

    def send(_: int) -> bytes:
        return client.post("/v1/members", json={"name": "Lin"}, headers=KEY).content

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(send, range(16)))
    assert len(answers) == 1
    assert len(contents(front.database)["members"]) == 1
