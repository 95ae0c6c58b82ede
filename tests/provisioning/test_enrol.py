"""Enrolment and registration of cards against a real cloud."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drivers.reader import ReaderSettings
from drivers.readers.nfc import READER
from drivers.virtual.cards.cpu import CpuCard
from drivers.virtual.cards.cpu_state import CpuState
from drivers.virtual.pn532 import Pn532Device
from protocol import grant
from protocol.signing import verifier
from protocol.topics import address
from provisioning.cards import CardDesk
from provisioning.cloud_api import CloudApi
from provisioning.demo.residents import TENANT
from provisioning.demo.town import Town
from provisioning.enrol import CONFIGURATION, Surroundings, enrol
from provisioning.errors import (
    CardRegisteredOtherwise,
    CloudRefused,
    CloudUnreachable,
    TerminalThere,
)
from provisioning.processes import free_port
from provisioning.renewal import give_site_key
from provisioning.vault import write_private
from tests.provisioning.card_desk import TRANSPORT, card_desk

pytestmark = pytest.mark.broker_nats
AT = address(TENANT, "site-1", "t-0001")
OTHER = address(TENANT, "site-1", "t-0009")
AROUND = Surroundings(
    broker_host="127.0.0.1",
    broker_port=8883,
    reader_kind="nfc",
    scanner_kind="scanner",
    scanner_path="/dev/ttyACM0",
)
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def enrolled(town: Town) -> Path:
    """The folder of an enrolled terminal."""
    folder, api = town.folder / "terminals" / AT.terminal, town.api()
    try:
        enrol(folder, AT, AROUND, town.authority, api, datetime.now(UTC))
    finally:
        api.close()
    return folder


def test_the_agent_accepts_what_enrolment_wrote(enrolled: Path) -> None:
    command = [sys.executable, "-m", "edge", "--config", str(enrolled / CONFIGURATION)]
    done = subprocess.run(
        [*command, "check-config"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_grant_is_the_clouds_for_the_first_epoch(enrolled: Path) -> None:
    keys = tomllib.loads((enrolled / CONFIGURATION).read_text())["keys"]["cloud"]
    found = [verifier(int(text.split(":")[0]), bytes.fromhex(text.split(":")[1])) for text in keys]
    given = grant.accept((enrolled / "grant.cose").read_bytes(), {key.key_id: key for key in found})
    assert (given.tenant, given.site, given.terminal, given.epoch) == (*AT, 1)


def test_every_file_is_its_owners_alone(enrolled: Path) -> None:
    files = [file for file in enrolled.rglob("*") if file.is_file()]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert len({file.read_bytes() for file in files}) == len(files)


def test_a_site_key_that_was_lost_is_written_as_enrolment_did(town: Town, enrolled: Path) -> None:
    file, key = enrolled / CONFIGURATION, enrolled / "site.key"
    text, secret = file.read_text(), key.read_bytes()
    key.unlink()
    write_private(file, text.replace('site = "site.key"', 'site = ""'))
    assert give_site_key(enrolled, town.authority) == AT.site
    assert key.read_bytes() == secret
    assert tomllib.loads(file.read_text()) == tomllib.loads(text)


def test_a_terminal_is_not_enrolled_over_itself(town: Town, api: CloudApi, enrolled: Path) -> None:
    before = (enrolled / "signing.pem").read_bytes()
    with pytest.raises(TerminalThere):
        enrol(enrolled, AT, AROUND, town.authority, api, datetime.now(UTC))
    assert (enrolled / "signing.pem").read_bytes() == before


@pytest.mark.usefixtures("enrolled")
def test_the_cloud_refuses_a_second_terminal_of_the_name(
    town: Town, api: CloudApi, tmp_path: Path
) -> None:
    with pytest.raises(CloudRefused, match="409"):
        enrol(tmp_path / "again", AT, AROUND, town.authority, api, datetime.now(UTC))
    assert not (tmp_path / "again" / CONFIGURATION).exists()


def test_a_wrong_token_is_refused_with_the_clouds_code(town: Town, tmp_path: Path) -> None:
    api = CloudApi(town.cloud_url, "not-a-token")
    try:
        with pytest.raises(CloudRefused) as error:
            enrol(tmp_path / "new", OTHER, AROUND, town.authority, api, datetime.now(UTC))
    finally:
        api.close()
    assert error.value.status == 401
    assert error.value.reason != "no_code"


def test_enrolment_is_repeated_when_the_cloud_was_away(town: Town, tmp_path: Path) -> None:
    folder, nobody = tmp_path / "new", CloudApi(f"http://127.0.0.1:{free_port()}", "token")
    try:
        with pytest.raises(CloudUnreachable):
            enrol(folder, OTHER, AROUND, town.authority, nobody, datetime.now(UTC))
    finally:
        nobody.close()
    api = town.api()
    try:
        assert enrol(folder, OTHER, AROUND, town.authority, api, datetime.now(UTC)).exists()
    finally:
        api.close()


def test_enrolment_is_repeated_when_the_clouds_answer_was_lost(
    town: Town, api: CloudApi, tmp_path: Path
) -> None:
    """The folder is as a lost answer leaves it: keys, and nothing that the cloud said."""
    at, now = address(TENANT, "site-1", "t-0010"), datetime.now(UTC)
    config = enrol(tmp_path / "new", at, AROUND, town.authority, api, now)
    grant_file, written = config.with_name("grant.cose"), config.read_text()
    granted = grant_file.read_bytes()
    config.unlink()
    grant_file.unlink()
    assert enrol(tmp_path / "new", at, AROUND, town.authority, api, now).read_text() == written
    assert grant_file.read_bytes() == granted


@pytest.fixture
def desk(town: Town, api: CloudApi, device: Pn532Device) -> Iterator[CardDesk]:
    reader = READER.open(ReaderSettings(path=f"tty:{device.path}"))
    yield card_desk(town.authority, reader, cloud=api)
    reader.close()


def test_a_card_is_registered_for_its_member_and_for_nobody_else(
    desk: CardDesk, device: Pn532Device, api: CloudApi
) -> None:
    mine, other = api.add_member("Lin Mei"), api.add_member("Wang Fang")
    device.insert(CpuCard(CpuState.blank(os.urandom(16), TRANSPORT.secret)))
    reference = desk.personalise("cpu", mine)
    assert api.card_member(reference) == mine
    assert desk.personalise("cpu", mine) == reference
    with pytest.raises(CardRegisteredOtherwise):
        desk.personalise("cpu", other)
    assert api.card_member(reference) == mine


def test_a_card_for_a_member_that_nobody_knows_is_refused(
    desk: CardDesk, device: Pn532Device
) -> None:
    device.insert(CpuCard(CpuState.blank(os.urandom(16), TRANSPORT.secret)))
    with pytest.raises(CloudRefused, match="member"):
        desk.personalise("cpu", "m-nobody")
