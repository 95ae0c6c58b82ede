"""What holds for every request: the error form, headers, limits, health, metrics, description."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

import cloud.errors
import protocol.errors
from cloud.http import errors
from cloud.http.envelope import BODY_BYTES_MAX, HEADERS
from cloud.http.identity import Role
from protocol.errors import ProductError
from tests.cloud.front import Front, contents

Api = Callable[[Role | None], httpx.Client]
FORM = {"code", "what", "kept", "todo", "detail"}
# Raised only while a program starts: they never meet a request.
AT_START = {"bad_config", "not_initialised", "already_initialised", "wrong_schema", "bad_plugin"}


def concrete(kind: type[ProductError] = ProductError) -> Iterator[type[ProductError]]:
    """Every error of the cloud and of the agreement that can be raised."""
    for child in kind.__subclasses__():
        if child.__module__ in (cloud.errors.__name__, protocol.errors.__name__, errors.__name__):
            if "Never raised itself" not in (child.__doc__ or ""):
                yield child
            yield from concrete(child)


def test_every_error_has_a_status_of_its_own() -> None:
    codes = {kind.code for kind in concrete()}
    assert codes - AT_START == set(errors.STATUS)


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "code"),
    [
        ("GET", "/nothing", None, 404, "not_found"),
        ("DELETE", "/v1/members", None, 405, "wrong_method"),
        ("GET", "/v1/members/m-none", None, 404, "unknown_member"),
        ("GET", "/v1/members?limit=100000", None, 422, "bad_field"),
        ("GET", "/v1/members/m-none/statement?before=yesterday", None, 422, "bad_field"),
        ("GET", "/v1/cards/00", None, 422, "bad_field"),
        ("GET", "/v1/records/t-0001/1/999999999999999999999", None, 422, "bad_field"),
        ("GET", "/v1/records/t-0001/1/9007199254740991", None, 404, "unknown_record"),
        ("POST", "/v1/members", b"{", 400, "bad_json"),
        ("POST", "/v1/members", b"[]", 422, "bad_field"),
        ("POST", "/v1/members", b'{"name": 5}', 422, "bad_field"),
        ("POST", "/v1/members", b'{"name": "a", "member": "NOT A LEVEL"}', 422, "bad_field"),
        ("POST", "/v1/members", b'{"nmae": "a"}', 422, "unknown_field"),
        ("POST", "/v1/members", b'{"name": "a", "x": 1}', 422, "unknown_field"),
        ("POST", "/v1/members", b" " * (BODY_BYTES_MAX + 1), 413, "body_too_large"),
    ],
)
def test_what_is_wrong_is_said_and_changes_nothing(
    front: Front, api: Api, method: str, path: str, content: bytes | None, status: int, code: str
) -> None:
    before = contents(front.database)
    headers = {"Content-Type": "application/json"} if content else {}
    answer = api(Role.ADMIN).request(method, path, content=content, headers=headers)
    said = answer.json()
    assert (answer.status_code, said["code"]) == (status, code)
    assert said.keys() == FORM
    assert all(said[part] for part in ("what", "kept", "todo"))
    assert contents(front.database) == before


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/members", "GET, POST"),
        ("/v1/cards/" + "00" * 16, "GET, PATCH"),
        ("/v1/quarantine", "GET"),
        ("/healthz", "GET"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(api: Api, path: str, allowed: str) -> None:
    answer = api(Role.ADMIN).request("TRACE", path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


def test_a_body_that_does_not_say_its_length_is_cut_off(front: Front, api: Api) -> None:
    pieces = (b" " * 65_536 for _ in range(BODY_BYTES_MAX // 65_536 + 1))
    headers = {"Content-Type": "application/json"}
    answer = api(Role.ADMIN).post("/v1/members", content=pieces, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("path", ["/healthz", "/v1/members", "/nothing", "/console/login"])
def test_every_answer_has_the_headers(api: Api, path: str) -> None:
    answer = api(None).get(path)
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert "unsafe" not in answer.headers["Content-Security-Policy"]


def test_a_failure_of_the_program_tells_nothing_of_its_inside(front: Front, api: Api) -> None:
    @front.app.get("/broken")
    def broken() -> None:
        raise ZeroDivisionError("secret")

    with capture_logs() as told:
        answer = api(None).get("/broken")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret" not in answer.text
    assert [(each["event"], each["path"]) for each in told] == [("request_failed", "/broken")]


def test_readiness_names_what_is_missing(front: Front, api: Api) -> None:
    client = api(None)
    assert client.get("/readyz").json() == {"database": True, "broker": True}
    front.ready["broker"] = False
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert answer.json()["detail"] == "broker"


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_metrics_need_a_token_behind_a_proxy(api: Api, header: str) -> None:
    assert api(None).get("/metrics").status_code == 200
    assert api(None).get("/metrics", headers={header: "127.0.0.1"}).status_code == 401
    assert api(Role.READER).get("/metrics", headers={header: "127.0.0.1"}).status_code == 200


def test_the_description_is_whole(front: Front) -> None:
    described = front.app.openapi()
    assert described["openapi"].startswith("3.1")
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation.get("summary"), where
            for parameter in operation.get("parameters", ()):
                assert parameter["description"], where
            if path.startswith("/v1"):
                assert operation["security"], where
                errors_of = {status for status in operation["responses"] if status >= "4"}
                assert {"401", "403", "422"} <= errors_of, where
                for status in errors_of:
                    content = operation["responses"][status]["content"]["application/json"]
                    assert content["schema"]["$ref"].endswith("/ErrorDocument"), where


def test_what_is_sent_is_described_with_examples(front: Front) -> None:
    schemas: dict[str, Any] = front.app.openapi()["components"]["schemas"]
    sent = {name: schema for name, schema in schemas.items() if name.startswith("New")}
    assert len(sent) >= 8
    for name, schema in sent.items():
        assert schema["additionalProperties"] is False, name
        assert schema["description"], name
        for field, shape in schema["properties"].items():
            told = "$ref" in str(shape) or shape.get("examples") or shape.get("description")
            assert told, f"{name}.{field}"
