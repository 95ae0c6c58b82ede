"""A card that the desk made is the cloud's: it finds its owner, and checks what it proves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import select

from cloud import wiring
from cloud.http.identity import Role
from cloud.keys import Keys
from cloud.members import store as members
from cloud.storage.schema import cards
from drivers.apdu import CommandApdu, Steps
from drivers.cards.ntag424 import DF_NAME, read_link
from drivers.virtual.faults import FrameCard
from protocol.record import CardClass
from protocol.sun import AES_PICC_BYTES, LRP_PICC_BYTES
from protocol.sun_link import parse
from provisioning.authority import Authority, init
from provisioning.cards import FAMILIES
from provisioning.cloud_api import CloudApi
from provisioning.demo.blanks import BLANKS
from tests.cloud.front import Front, new_ledger
from tests.cloud.town import CURRENCY, LEDGER_KEY, MORNING_MS, RULES_KEY
from tests.drivers.world import DirectReader, do
from tests.provisioning.card_desk import TRANSPORT, card_desk
from tests.services.server import Server


class World(NamedTuple):
    """A cloud that holds the authority's estate key, with Ann in its books."""

    front: Front
    authority: Authority
    url: str
    api: CloudApi


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("numbers")
    authority = init(folder / "authority", "acme", datetime.now(UTC))
    database = new_ledger(folder)
    front = Front(database)
    with database.write() as connection:
        members.add_member(connection, "ann", "Ann", MORNING_MS)
    keys = Keys(LEDGER_KEY, RULES_KEY, authority.cards.estate)
    app = wiring.application(
        authority.tenant, CURRENCY, keys, front.backend, CollectorRegistry(), lambda: front.ready
    )
    with Server(app) as server:
        api = CloudApi(server.url, front.tokens[Role.PROVISIONER])
        yield World(front, authority, server.url, api)
        api.close()
    database.close()


def made(world: World, family: str, *, lrp: bool = False) -> DirectReader:
    """A card of Ann's, on a reader."""
    card = BLANKS[family](TRANSPORT.secret)
    assert not isinstance(card, FrameCard)
    reader = DirectReader(card)
    desk = card_desk(world.authority, reader, "quay", cloud=world.api)
    desk.personalise(family, "ann", lrp=lrp)
    reader.card.reset()
    return reader


def held(reader: DirectReader) -> str:
    """Hold a phone to the tag: the link that it reads."""

    def reading() -> Steps[bytes]:
        yield CommandApdu(0x00, 0xA4, 0x04, 0x00, DF_NAME, ne=256)
        return (yield from read_link())

    return do(reading(), reader).decode()


def opened(world: World, link: str, role: Role | None = None) -> httpx.Response:
    """Open a link."""
    path = link.removeprefix("https://cloud.example")
    headers = {} if role is None else {"Authorization": f"Bearer {world.front.tokens[role]}"}
    return httpx.get(world.url + path, headers=headers, trust_env=False)


@pytest.mark.parametrize("lrp", [False, True], ids=["aes", "lrp"])
def test_a_phone_at_a_tag_that_the_desk_made(world: World, *, lrp: bool) -> None:
    reader = made(world, "ntag424", lrp=lrp)
    first = held(reader)
    assert len(parse(first.encode()).picc) == (LRP_PICC_BYTES if lrp else AES_PICC_BYTES)
    nobody = {"tenant": "acme", "member": None, "state": None}
    assert opened(world, first).json() == nobody
    assert opened(world, first).json()["code"] == "tag_copied"
    at_terminal = card_desk(world.authority, reader, "quay").show()
    assert at_terminal.identity.assurance is CardClass.SECURE
    assert at_terminal.identity.counter == 1
    whose = opened(world, held(reader), Role.READER).json()
    assert whose == {"tenant": "acme", "member": "ann", "state": "active"}
    card_desk(world.authority, reader, "quay", cloud=world.api).personalise("ntag424", "ann")
    assert opened(world, held(reader)).json() == nobody


@pytest.mark.parametrize("family", [name for name, kind in FAMILIES.items() if kind.purse])
def test_a_purse_has_its_number_in_the_cloud(world: World, family: str) -> None:
    made(world, family)
    with world.front.database.read() as connection:
        query = select(cards.c.number).where(cards.c.family == family)
        (number,) = connection.execute(query).scalars()
    assert number
