"""The technician's commands, as they are typed."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from provisioning.__main__ import app
from provisioning.authority import Authority
from provisioning.errors import AuthorityMissing, FolderInUse

COMMANDS = [
    [],
    ["authority"],
    ["authority", "init"],
    ["authority", "cloud"],
    ["broker", "configure"],
    ["terminal", "enrol"],
    ["card", "personalise"],
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
    result = CliRunner().invoke(app, ["authority", "cloud", "--authority", str(tmp_path)])
    assert isinstance(result.exception, AuthorityMissing)


def test_the_demo_takes_no_folder_that_is_in_use(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    result = CliRunner().invoke(app, ["demo", "--folder", str(tmp_path)])
    assert isinstance(result.exception, FolderInUse)
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]


def test_a_broker_that_we_do_not_know_is_refused() -> None:
    result = CliRunner().invoke(app, ["demo", "--broker", "amqtt"])
    assert result.exit_code == 2
