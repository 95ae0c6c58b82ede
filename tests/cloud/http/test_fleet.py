"""Terminals over the API: enrolment gives what a terminal needs, commands reach the line."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from cloud.fleet import store as fleet
from cloud.fleet.model import desired_of
from cloud.http.identity import Role
from cloud.ledger.transaction import Ledger
from protocol import command, grant
from protocol.chain import Head
from protocol.command import Verb
from protocol.shadow import Reported
from protocol.signing import verifier
from tests.cloud.front import NOON_MS, Front, contents
from tests.cloud.town import CURRENCY, LEDGER_KEY, RULES_KEY, Till, build_town, key_of

Api = Callable[[Role | None], httpx.Client]
KEY = key_of("terminal")
NEW: dict[str, Any] = {
    "terminal": "t-0001",
    "site": "site-1",
    "algorithm": -8,
    "public_key": KEY.verifier.public.hex(),
}


def test_an_enrolled_terminal_can_write_its_first_records(front: Front, api: Api) -> None:
    town = build_town(front.database)
    answer = api(Role.PROVISIONER).post("/v1/terminals", json=NEW)
    assert answer.status_code == 201
    said = answer.json()
    algorithm, _, public = said["cloud_keys"][0].partition(":")
    cloud = verifier(int(algorithm), bytes.fromhex(public))
    given = b64decode(said["grant"])
    granted = grant.accept(given, {cloud.key_id: cloud})
    assert (granted.tenant, granted.site, granted.terminal) == ("acme", "site-1", "t-0001")
    assert (granted.epoch, granted.key_id) == (1, KEY.key_id)
    assert said["rules_keys"] == [f"-8:{RULES_KEY.verifier.public.hex()}"]
    assert front.line.said == [("terminal", "t-0001")]

    head: Head = grant.opening_head(1, given)
    till = Till("t-0001", KEY, head, town.published, town.random)
    Ledger(front.database, CURRENCY, front.clock_ms).ingest([till.batch(till.open())])
    shown = api(Role.READER).get("/v1/terminals/t-0001").json()
    assert (shown["upto_seq"], shown["head_hash"]) == (1, till.head.hash.hex())
    assert (shown["standing"], shown["last_heard_ms"]) == ("active", NOON_MS)


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"public_key": "00"}, 422, "malformed"),
        ({"public_key": "zz"}, 422, "bad_field"),
        ({"public_key": 7}, 422, "bad_field"),
        ({"algorithm": "-8"}, 422, "bad_field"),
        ({"algorithm": -999}, 422, "bad_field"),
        ({"terminal": "T 1"}, 422, "bad_field"),
        ({"site": "a/b"}, 422, "bad_field"),
        ({"publickey": "00"}, 422, "unknown_field"),
    ],
)
def test_a_wrong_enrolment_changes_nothing(
    front: Front, api: Api, change: dict[str, Any], status: int, code: str
) -> None:
    before = contents(front.database)
    answer = api(Role.PROVISIONER).post("/v1/terminals", json=NEW | change)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert contents(front.database) == before
    assert front.line.said == []


def test_a_second_enrolment_is_refused_and_a_new_epoch_is_not(front: Front, api: Api) -> None:
    client = api(Role.PROVISIONER)
    client.post("/v1/terminals", json=NEW)
    again = client.post("/v1/terminals", json=NEW)
    assert (again.status_code, again.json()["code"]) == (409, "terminal_exists")
    new_key = {"algorithm": -8, "public_key": key_of("next").verifier.public.hex()}
    next_epoch = client.post("/v1/terminals/t-0001/epochs", json=new_key)
    assert (next_epoch.status_code, next_epoch.json()["epoch"]) == (201, 2)
    unknown = client.post("/v1/terminals/t-0002/epochs", json=new_key)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_terminal")


@pytest.mark.parametrize(
    ("body", "reasons"),
    [({}, ["epoch_ended"]), ({"trusted": False}, ["epoch_ended"]), ({"trusted": True}, [])],
)
def test_what_the_old_key_hands_in_is_taken_where_it_is_trusted(
    front: Front, api: Api, body: dict[str, bool], reasons: list[str]
) -> None:
    town = build_town(front.database)
    town.add_members("ann")
    till = town.add_till("t-0001")
    new_key = {"algorithm": -8, "public_key": key_of("next").verifier.public.hex()}
    client = api(Role.PROVISIONER)
    assert client.post("/v1/terminals/t-0001/epochs", json=new_key | body).status_code == 201
    ledger = Ledger(front.database, CURRENCY, front.clock_ms)
    made = ledger.ingest([till.batch(till.open(), till.top_up("ann", 100))])
    assert [reason for _, reason in made.watermarks[0].quarantined] == reasons


def test_what_a_terminal_should_do_is_told_and_its_answer_seen(front: Front, api: Api) -> None:
    api(Role.PROVISIONER).post("/v1/terminals", json=NEW)
    front.line.said.clear()
    operator = api(Role.OPERATOR)
    wanted = operator.put("/v1/terminals/t-0001/desired", json={"status_every_s": 5}).json()
    assert (wanted["status_every_s"], wanted["has_settled"]) == (5, False)
    assert front.line.said == [("terminal", "t-0001")]
    with front.database.write() as connection:
        wish = desired_of(fleet.terminal(connection, "t-0001"))
        assert (wish.revision, wish.status_every_s) == (2, 5)
        fleet.hear_reported(connection, "t-0001", Reported(revision=2), NOON_MS)
    assert operator.get("/v1/terminals/t-0001").json()["has_settled"]


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("t-0002", {"status_every_s": 5}, "unknown_terminal"),
        ("t-0001", {"status_every_s": 0}, "bad_field"),
        ("t-0001", {"status_every_s": 3_601}, "bad_field"),
        ("t-0001", {}, "bad_field"),
    ],
)
def test_a_wish_that_cannot_be_is_refused(
    front: Front, api: Api, path: str, body: dict[str, Any], code: str
) -> None:
    api(Role.PROVISIONER).post("/v1/terminals", json=NEW)
    before = contents(front.database)
    refused = api(Role.OPERATOR).put(f"/v1/terminals/{path}/desired", json=body)
    assert refused.json()["code"] == code
    assert contents(front.database) == before


def test_a_revoked_terminal_gets_no_new_epoch(front: Front, api: Api) -> None:
    api(Role.PROVISIONER).post("/v1/terminals", json=NEW)
    revoked = api(Role.OPERATOR).post("/v1/terminals/t-0001/revoke")
    assert revoked.json()["standing"] == "drain_only"
    key = {"algorithm": -8, "public_key": NEW["public_key"]}
    answer = api(Role.PROVISIONER).post("/v1/terminals/t-0001/epochs", json=key)
    assert (answer.status_code, answer.json()["code"]) == (409, "terminal_revoked")
    assert front.line.said == [("terminal", "t-0001")] * 2


def test_a_command_is_signed_kept_and_sent_once(front: Front, api: Api) -> None:
    api(Role.PROVISIONER).post("/v1/terminals", json=NEW)
    client = api(Role.OPERATOR)
    key = {"Idempotency-Key": "lock-it"}
    for _ in range(2):
        answer = client.post("/v1/terminals/t-0001/commands", json={"verb": "lock"}, headers=key)
        assert answer.status_code == 201
    (sent,) = front.line.commands
    ordered = command.accept(sent, {LEDGER_KEY.key_id: LEDGER_KEY.verifier})
    assert (ordered.verb, ordered.terminal, ordered.operator) == (Verb.LOCK, "t-0001", "operator-1")
    assert answer.json()["id"] == ordered.id.hex()
    assert len(contents(front.database)["commands"]) == 1


def test_there_is_no_verb_beyond_the_list(front: Front, api: Api) -> None:
    api(Role.PROVISIONER).post("/v1/terminals", json=NEW)
    answer = api(Role.ADMIN).post("/v1/terminals/t-0001/commands", json={"verb": "shell"})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_field")
    assert front.line.commands == []
