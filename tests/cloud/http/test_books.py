"""Members, bundles and records over the API, from data that came through the real ingest."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import httpx
import pytest

from cloud.http.identity import Role
from protocol import chain
from protocol.chain import Head
from protocol.record import read, record_hash
from protocol.rules import bundle
from protocol.signing import Purpose, split, verifier, verify
from tests.cloud.day import PEOPLE, live_a_morning
from tests.cloud.front import NOON_MS, Front, contents
from tests.cloud.town import RULES_KEY, issued_card

Api = Callable[[Role | None], httpx.Client]
BUNDLE: dict[str, Any] = {
    "activate_ms": NOON_MS,
    "products": [{"sku": "tea", "price": 900, "name_zh": "茶", "name_en": "Tea"}],
    "rules": [{"id": "gold-10", "kind": "percent_off", "settings": {"basis_points": 1000}}],
    "tiers": [{"name": "gold", "from_spend": 100_000}],
    "limits": {"count_max": 3, "amount_max": 9_000},
    "golden": [{"basket": [{"sku": "tea", "quantity": 2}], "total": 1620, "earned": 0}],
}


@pytest.fixture
def reader(front: Front, api: Api) -> httpx.Client:
    """A reader's client of a cloud with a morning in its books."""
    live_a_morning(front.database)
    return api(Role.READER)


@pytest.mark.parametrize("member", PEOPLE)
def test_a_statement_runs_to_the_balance_in_pages_of_any_size(
    reader: httpx.Client, member: str
) -> None:
    balance = reader.get(f"/v1/members/{member}/balance").json()
    whole = reader.get(f"/v1/members/{member}/statement").json()["lines"]
    assert whole[0]["value_after"] == balance["balance"]
    assert whole[0]["points_after"] == balance["points"] - balance["points_debt"]
    assert sum(line["value"] for line in whole) == balance["balance"]
    for newer, older in pairwise(whole):
        assert newer["value_after"] - newer["value"] == older["value_after"]
    paged: list[dict[str, Any]] = []
    page: dict[str, Any] = {"next": None}
    while not paged or page["next"]:
        query = {"limit": 1} | ({"before": page["next"]} if page["next"] else {})
        page = reader.get(f"/v1/members/{member}/statement", params=query).json()
        paged += page["lines"]
    assert paged == whole


def test_a_line_names_record_terminal_bundle_and_rules(reader: httpx.Client) -> None:
    lines = reader.get("/v1/members/m-000001/statement").json()["lines"]
    sale = next(line for line in lines if line["receipt"] == "t-0001-1-3")
    assert (sale["terminal"], sale["epoch"], sale["seq"]) == ("t-0001", 1, 3)
    assert (sale["kind"], sale["bundle"], sale["points"]) == ("sale", 1, 7)
    assert sale["value"] == -750


def test_members_are_found_and_paged(reader: httpx.Client) -> None:
    names = {each["name"] for each in reader.get("/v1/members?search=xiao").json()["members"]}
    assert names == {"Wang Xiaoming"}
    first = reader.get("/v1/members?limit=4").json()
    second = reader.get("/v1/members", params={"limit": 4, "after": first["next"]}).json()
    found = [each["member"] for each in first["members"] + second["members"]]
    assert (found, second["next"]) == (list(PEOPLE), None)


def test_a_record_carries_all_that_checks_it(reader: httpx.Client) -> None:
    shown = reader.get("/v1/records/t-0001/1/3").json()
    data = bytes.fromhex(shown["data"])
    assert record_hash(data).hex() == shown["hash"]
    verify(split(data), Purpose.RECORD, verifier(-8, bytes.fromhex(shown["public_key"])))
    sealed = read(data)[0]
    head = Head(1, 2, bytes.fromhex(shown["previous_hash"]))
    assert chain.follows(head, sealed)
    assert shown["previous_hash"] == reader.get("/v1/records/t-0001/1/2").json()["hash"]
    assert (shown["linked"], shown["signed"], shown["state"]) == (True, True, "posted")
    assert shown["watermark_upto_seq"] >= 3
    assert shown["record"]["kind"] == "sale"
    assert shown["record"]["tid"] == sealed.record.tid.hex()
    for unit in {entry["unit"] for entry in shown["entries"]}:
        assert sum(e["amount"] for e in shown["entries"] if e["unit"] == unit) == 0


def test_a_price_that_differs_is_shown_with_the_gap(reader: httpx.Client) -> None:
    terminal = reader.get("/v1/terminals/t-0003").json()
    shown = reader.get(f"/v1/records/t-0003/1/{terminal['upto_seq'] - 1}").json()
    assert (shown["audit"], shown["gap"]) == ("price_differs", 350)


def test_records_are_found(reader: httpx.Client) -> None:
    def found(**query: str) -> list[tuple[str, int]]:
        records = reader.get("/v1/records", params=query).json()["records"]
        return [(each["terminal"], each["seq"]) for each in records]

    assert found(text="t-0001-1-3") == [("t-0001", 3)]
    tid = reader.get("/v1/records/t-0001/1/3").json()["record"]["tid"]
    assert found(text=tid) == found(text=tid.upper()) == [("t-0001", 3)]
    assert found(text="no such thing") == found(text="t-0001-9-9") == []
    assert {terminal for terminal, _ in found(terminal="t-0002")} == {"t-0002"}
    assert found(kind="void") == [("t-0001", 13)]
    assert set(found(member="m-000001", kind="sale")) == {("t-0001", 3), ("t-0003", 2)}
    assert len(found()) == 27
    assert reader.get("/v1/records?kind=theft").json()["code"] == "bad_field"


def test_what_is_kept_apart_is_shown(reader: httpx.Client) -> None:
    (row,) = reader.get("/v1/quarantine").json()["quarantine"]
    assert (row["terminal"], row["reason"]) == ("t-0003", "unknown_card")
    assert record_hash(bytes.fromhex(row["data"])).hex() == row["hash"]


def test_what_is_kept_apart_is_taken_with_a_reason(
    front: Front, reader: httpx.Client, api: Api
) -> None:
    operator = api(Role.OPERATOR)
    (row,) = reader.get("/v1/quarantine").json()["quarantine"]
    path = f"/v1/quarantine/{row['terminal']}/{row['epoch']}/{row['seq']}/accept"
    before = contents(front.database)
    for body, code in (
        ({}, "bad_field"),
        ({"note": "  "}, "bad_field"),
        ({"note": "x" * 401}, "bad_field"),
        ({"note": "right", "state": "posted"}, "unknown_field"),
        ({"note": "right"}, "not_acceptable"),
    ):
        assert operator.post(path, json=body).json()["code"] == code
    assert contents(front.database) == before
    card = read(bytes.fromhex(row["data"]))[0].record.card
    assert card is not None
    issued = {"reference": card.reference.hex(), "member": "m-000004", "family": "cpu"}
    assert operator.post("/v1/cards", json=issued).status_code == 201
    front.line.said.clear()

    keyed = {"Idempotency-Key": "once"}
    for _ in range(2):
        answer = operator.post(path, json={"note": " card issued "}, headers=keyed)
        assert answer.status_code == 200
        assert (answer.json()["state"], answer.json()["reason"]) == ("posted", "")
        assert answer.json()["member"] == "m-000004"
    assert front.line.said == [("members", "")]
    (row,) = reader.get("/v1/quarantine").json()["quarantine"]
    told = (row["reason"], row["settled_ms"], row["settled_by"], row["note"])
    assert told == ("unknown_card", NOON_MS, "operator-1", "card issued")
    again = operator.post(path, json={"note": "right"})
    assert (again.status_code, again.json()["code"]) == (409, "not_kept_apart")


def test_a_card_walks_through_its_states(front: Front, api: Api) -> None:
    live_a_morning(front.database)
    client = api(Role.OPERATOR)
    path = f"/v1/cards/{issued_card('m-000001').reference.hex()}"
    for state in ("frozen", "active", "lost", "cancelled"):
        assert client.patch(path, json={"state": state}).json()["state"] == state
    answer = client.patch(path, json={"state": "active"})
    assert (answer.status_code, answer.json()["code"]) == (409, "card_cancelled")
    assert client.get(path).json()["state"] == "cancelled"
    assert front.line.said == [("members", "")] * 4


def test_a_published_bundle_is_what_terminals_get(front: Front, api: Api) -> None:
    client = api(Role.ADMIN)
    answer = client.post("/v1/bundles", json=BUNDLE)
    assert answer.status_code == 201
    said = answer.json()
    published = bundle.accept(b64decode(said["data"]), {RULES_KEY.key_id: RULES_KEY.verifier})
    assert published.digest.hex() == said["digest"]
    assert (published.bundle.number, published.bundle.currency) == (1, "CNY")
    assert published.bundle.limits.count_max == 3
    assert said["state"] == "in_force"
    assert front.line.said == [("bundle", "")]
    assert client.get("/v1/bundles/1").json() == said


def test_a_time_may_be_written_with_its_zone(api: Api) -> None:
    at = {"activate_at": "2026-12-01T06:00:00+08:00"}
    body = {name: value for name, value in BUNDLE.items() if name != "activate_ms"} | at
    said = api(Role.ADMIN).post("/v1/bundles", json=body).json()
    assert (said["activate_ms"], said["state"]) == (1_796_076_000_000, "scheduled")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"products": []}, "bad_field"),
        ({"products": BUNDLE["products"] * 2}, "bad_bundle"),
        ({"products": [BUNDLE["products"][0] | {"price": -1}]}, "bad_field"),
        ({"products": [BUNDLE["products"][0] | {"price": 9.5}]}, "bad_field"),
        ({"products": [BUNDLE["products"][0] | {"colour": "red"}]}, "unknown_field"),
        ({"rules": [{"id": "x", "kind": "no_such_kind", "settings": {}}]}, "bad_bundle"),
        ({"rules": [{"id": "x", "kind": "percent_off", "settings": {"bp": 1}}]}, "bad_bundle"),
        ({"golden": [BUNDLE["golden"][0] | {"total": 1}]}, "bad_bundle"),
        (
            {"golden": [BUNDLE["golden"][0] | {"basket": [{"sku": "milk", "quantity": 1}]}]},
            "unknown_product",
        ),
        ({"tiers": [{"name": "a", "from_spend": 5}, {"name": "b", "from_spend": 1}]}, "bad_bundle"),
        ({"currency": "USD"}, "bad_bundle"),
        ({"activate_ms": None}, "bad_field"),
        ({"activate_at": "2026-12-01T06:00:00+08:00"}, "bad_field"),
        ({"activate_ms": None, "activate_at": "tomorrow"}, "bad_field"),
        ({"activate_ms": None, "activate_at": "1950-01-01T00:00:00Z"}, "malformed"),
        ({"number": 0}, "bad_field"),
        ({"publish": True}, "unknown_field"),
    ],
)
def test_a_wrong_bundle_is_refused_whole(
    front: Front, api: Api, change: dict[str, Any], code: str
) -> None:
    before = contents(front.database)
    answer = api(Role.ADMIN).post("/v1/bundles", json=BUNDLE | change)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert contents(front.database) == before
    assert front.line.said == []


def test_numbers_only_rise(api: Api) -> None:
    client = api(Role.ADMIN)
    assert client.post("/v1/bundles", json=BUNDLE | {"number": 7}).status_code == 201
    answer = client.post("/v1/bundles", json=BUNDLE | {"number": 7})
    assert (answer.status_code, answer.json()["code"]) == (409, "bundle_exists")
    assert client.post("/v1/bundles", json=BUNDLE).json()["number"] == 8
