"""The technician's commands, as they are typed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from typer.testing import CliRunner

from cloud.config import load as load_cloud
from protocol.topics import address
from provisioning.__main__ import app
from provisioning.authority import Authority, init, request
from provisioning.errors import AuthorityMissing, FolderInUse, NotListed

COMMANDS = [
    [],
    ["authority"],
    ["authority", "init"],
    ["authority", "cloud"],
    ["broker", "configure"],
    ["terminal", "enrol"],
    ["terminal", "list"],
    ["terminal", "renew"],
    ["terminal", "epoch"],
    ["terminal", "site-key"],
    ["terminal", "withdraw"],
    ["card", "personalise"],
    ["card", "register"],
    ["card", "load"],
    ["card", "show"],
    ["card", "phone"],
    ["demo"],
    ["up"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command: list[str]) -> None:
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_an_authority_is_made_and_named(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    result = CliRunner().invoke(app, ["authority", "init", str(folder), "--tenant", "acme"])
    assert result.exit_code == 0
    assert Authority(folder).tenant == "acme"


@pytest.mark.broker_nats
def test_a_broker_is_configured_for_an_authority(tmp_path: Path) -> None:
    keys, folder = tmp_path / "keys", tmp_path / "broker"
    CliRunner().invoke(app, ["authority", "init", str(keys), "--tenant", "acme"])
    arguments = ["--authority", str(keys), "--name", "broker.example"]
    result = CliRunner().invoke(app, ["broker", "configure", str(folder), *arguments])
    assert result.exit_code == 0, result.output
    assert "nats-server" in result.output
    assert (folder / "nats.conf").stat().st_mode & 0o777 == 0o600


def test_a_missing_authority_is_an_error_with_a_code(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["terminal", "list", "--authority", str(tmp_path)])
    assert isinstance(result.exception, AuthorityMissing)


def test_the_clouds_folder_is_written_once_and_its_certificate_each_time(tmp_path: Path) -> None:
    keys, folder = str(tmp_path / "keys"), tmp_path / "cloud"
    CliRunner().invoke(app, ["authority", "init", keys, "--tenant", "acme"])
    command = ["authority", "cloud", str(folder), "--authority", keys, "--broker", "mqtt.shop:8883"]
    assert CliRunner().invoke(app, command).exit_code == 0
    settings = load_cloud(folder / "cloud.toml")
    assert settings.config.database == "sqlite:////var/lib/tapledger-cloud/ledger.db"
    assert settings.keys == Path("/var/lib/tapledger-cloud/keys")
    assert settings.path(settings.config.mqtt.key).is_file()
    (folder / "cloud.toml").write_text("# mine")
    before = (folder / "tls.pem").read_bytes()
    assert CliRunner().invoke(app, command).exit_code == 0
    assert (folder / "cloud.toml").read_text() == "# mine"
    assert (folder / "tls.pem").read_bytes() != before


def test_a_withdrawn_terminal_is_not_listed(tmp_path: Path) -> None:
    authority = init(tmp_path / "keys", "acme", datetime.now(UTC))
    for terminal in ("t-0001", "t-0002"):
        at = address("acme", "site-1", terminal)
        key = ec.generate_private_key(ec.SECP256R1())
        authority.sign(request(at, key), at, datetime.now(UTC))
    keys = ["--authority", str(authority.folder)]
    assert CliRunner().invoke(app, ["terminal", "withdraw", "t-0001", *keys]).exit_code == 0
    listed = CliRunner().invoke(app, ["terminal", "list", *keys])
    assert "t-0002" in listed.output
    assert "t-0001" not in listed.output
    again = CliRunner().invoke(app, ["terminal", "withdraw", "t-0001", *keys])
    assert isinstance(again.exception, NotListed)


def test_the_demo_takes_no_folder_that_is_in_use(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    result = CliRunner().invoke(app, ["demo", "--folder", str(tmp_path)])
    assert isinstance(result.exception, FolderInUse)
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]


def test_a_broker_that_we_do_not_know_is_refused() -> None:
    result = CliRunner().invoke(app, ["demo", "--broker", "amqtt"])
    assert result.exit_code == 2
