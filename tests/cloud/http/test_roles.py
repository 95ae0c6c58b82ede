"""Every role at every request of the OpenAPI document: allowed or not, and nothing in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from cloud.fleet import store as fleet
from cloud.http.identity import Role
from cloud.ledger.transaction import Ledger
from tests.cloud.cards.tags import Tag
from tests.cloud.day import live_a_morning
from tests.cloud.front import NOON_MS, Front, contents, new_ledger
from tests.cloud.town import CURRENCY, MORNING_MS, Town, issued_card, key_of
from tests.services.server import Server

ALL = frozenset(Role)
BOOKS = ALL - {Role.PROVISIONER}
ENROL = ALL - {Role.READER}
OPERATE = frozenset((Role.ADMIN, Role.OPERATOR))
# What the product promises, written down once more by hand.
MATRIX: dict[tuple[str, str], frozenset[Role]] = {
    ("get", "/v1/openapi.json"): ALL,
    ("get", "/v1/terminals"): ALL,
    ("get", "/v1/terminals/{terminal}"): ALL,
    ("post", "/v1/terminals"): ENROL,
    ("post", "/v1/terminals/{terminal}/epochs"): ENROL,
    ("post", "/v1/terminals/{terminal}/revoke"): OPERATE,
    ("put", "/v1/terminals/{terminal}/desired"): OPERATE,
    ("post", "/v1/terminals/{terminal}/commands"): OPERATE,
    ("get", "/v1/members"): BOOKS,
    ("post", "/v1/members"): ENROL,
    ("get", "/v1/members/{member}"): BOOKS,
    ("get", "/v1/members/{member}/balance"): BOOKS,
    ("get", "/v1/members/{member}/statement"): BOOKS,
    ("post", "/v1/cards"): ENROL,
    ("get", "/v1/cards/{reference}"): ALL,
    ("patch", "/v1/cards/{reference}"): OPERATE,
    ("get", "/v1/bundles"): ALL,
    ("get", "/v1/bundles/{number}"): ALL,
    ("post", "/v1/bundles"): frozenset((Role.ADMIN,)),
    ("get", "/v1/records"): BOOKS,
    ("get", "/v1/records/{terminal}/{epoch}/{seq}"): BOOKS,
    ("get", "/v1/quarantine"): BOOKS,
    ("post", "/v1/quarantine/{terminal}/{epoch}/{seq}/accept"): OPERATE,
}
OPEN = {("get", "/healthz"), ("get", "/readyz"), ("get", "/metrics"), ("get", "/v1/sun")}

PUBLIC_KEY = key_of("a new terminal").verifier.public.hex()
PLACES = {
    "terminal": "t-0001",
    "epoch": "1",
    "seq": "1",
    "member": "m-000001",
    "reference": issued_card("m-000001").reference.hex(),
    "number": "1",
}
Cell = tuple[str, str]


class World(NamedTuple):
    """A served application with a morning in its books."""

    front: Front
    client: httpx.Client


def keep_apart(town: Town) -> None:
    """A record for each role that may want to take one."""
    till = town.add_till("t-0009")
    with town.database.write() as connection:
        fleet.revoke(connection, "t-0009", MORNING_MS)
    paid = [till.top_up("m-000001", 100) for _ in Role]
    Ledger(town.database, CURRENCY, lambda: NOON_MS).ingest([till.batch(*paid)])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    database = new_ledger(tmp_path_factory.mktemp("roles"))
    keep_apart(live_a_morning(database))
    front = Front(database)
    with (
        Server(front.app) as server,
        httpx.Client(base_url=server.url, trust_env=False) as client,
    ):
        yield World(front, client)
    database.close()


def body(cell: Cell, role: Role) -> dict[str, Any] | None:
    """A right body, new for each role."""
    makers: dict[Cell, Callable[[], dict[str, Any]]] = {
        ("post", "/v1/terminals"): lambda: {
            "terminal": f"t-{role}",
            "site": "site-9",
            "algorithm": -8,
            "public_key": PUBLIC_KEY,
        },
        ("post", "/v1/terminals/{terminal}/epochs"): lambda: {
            "algorithm": -8,
            "public_key": PUBLIC_KEY,
        },
        ("put", "/v1/terminals/{terminal}/desired"): lambda: {"status_every_s": 60},
        ("post", "/v1/terminals/{terminal}/commands"): lambda: {"verb": "sync_now"},
        ("post", "/v1/members"): lambda: {"name": "Lin"},
        ("post", "/v1/cards"): lambda: {
            "reference": issued_card(role).reference.hex(),
            "member": "m-000001",
            "family": "cpu",
        },
        ("post", "/v1/quarantine/{terminal}/{epoch}/{seq}/accept"): lambda: {"note": "right"},
        ("patch", "/v1/cards/{reference}"): lambda: {"state": "frozen"},
        ("post", "/v1/bundles"): lambda: {
            "activate_ms": 0,
            "products": [{"sku": "tea", "price": 900, "name_zh": "茶", "name_en": "Tea"}],
        },
    }
    maker = makers.get(cell)
    return None if maker is None else maker()


def own_place(path: str, role: Role | None) -> dict[str, str]:
    """What of PLACES a path needs otherwise, as it can happen to a thing only once."""
    if path.endswith("accept"):
        return {"terminal": "t-0009", "seq": str(1 + list(Role).index(role or Role.READER))}
    return {"terminal": "t-0003"} if path.endswith("revoke") else {}


def send(world: World, cell: Cell, role: Role | None, token: str | None = None) -> httpx.Response:
    method, path = cell
    path = path.format(**PLACES | own_place(path, role))
    token = world.front.tokens[role] if role else token
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    content = body(cell, role) if role else None
    return world.client.request(method, path, headers=headers, json=content)


def test_the_matrix_is_the_openapi_document(world: World) -> None:
    paths = world.front.app.openapi()["paths"]
    documented = {(method, path) for path, methods in paths.items() for method in methods}
    assert documented == MATRIX.keys() | OPEN
    roles = {
        (method, path): frozenset(Role(role) for role in operation.get("x-roles", ()))
        for path, methods in paths.items()
        for method, operation in methods.items()
        if (method, path) not in OPEN
    }
    assert roles == MATRIX


@pytest.mark.parametrize("cell", MATRIX, ids=" ".join)
@pytest.mark.parametrize("role", Role)
def test_every_cell(world: World, cell: Cell, role: Role) -> None:
    before = contents(world.front.database)
    answer = send(world, cell, role)
    if role in MATRIX[cell]:
        assert answer.is_success, answer.text
        return
    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
    assert contents(world.front.database) == before


@pytest.mark.parametrize("cell", MATRIX, ids=" ".join)
@pytest.mark.parametrize("token", [None, "tl_wrong", ""], ids=["none", "wrong", "empty"])
def test_without_a_valid_token_nothing_is_told_or_changed(
    world: World, cell: Cell, token: str | None
) -> None:
    before = contents(world.front.database)
    answer = send(world, cell, None, token)
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert contents(world.front.database) == before


@pytest.mark.parametrize("cell", sorted(OPEN), ids=" ".join)
def test_what_is_open_needs_no_token(world: World, cell: Cell) -> None:
    method, path = cell
    query = f"?{Tag().read()}" if path == "/v1/sun" else ""
    assert world.client.request(method, path + query).is_success
