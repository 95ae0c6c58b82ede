"""The technician's commands of tapledger-cloud, as one types them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import run

TOML = """\
tenant = "acme"
currency = "CNY"

[mqtt]
host = "127.0.0.1"
port = 1
ca = "ca.pem"
certificate = "cloud.pem"
key = "cloud.key"
"""


@pytest.fixture
def cloud(tmp_path: Path) -> Path:
    file = tmp_path / "cloud.toml"
    file.write_text(TOML)
    return file


def typed(cloud: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cloud", "--config", str(cloud), *words]
    return subprocess.run(  # noqa: PLW1510  (each test looks at the status)
        command, cwd=run.ROOT, capture_output=True, text=True, timeout=60
    )


def test_a_token_is_listed_and_ended(cloud: Path) -> None:
    assert typed(cloud, "init").returncode == 0
    made = typed(cloud, "token", "create", "--role", "reader", "--label", "till report")
    secret = made.stdout.strip()
    listed = typed(cloud, "token", "list").stdout
    assert secret not in listed
    (row,) = [line for line in listed.splitlines() if "till report" in line]
    identity = row.split("│")[1].strip()
    assert typed(cloud, "token", "revoke", identity).returncode == 0
    again = typed(cloud, "token", "revoke", identity)
    assert again.returncode == 1
    assert again.stderr.startswith("unknown_token: ")
    assert "Traceback" not in again.stderr


@pytest.mark.parametrize("words", [["init"], ["serve"], ["token", "create"], ["verify"]])
def test_help_needs_no_configuration(tmp_path: Path, words: list[str]) -> None:
    shown = typed(tmp_path / "none.toml", *words, "--help")
    assert (shown.returncode, "Usage: tapledger-cloud" in shown.stdout) == (0, True)


def test_a_second_init_promises_nothing(cloud: Path) -> None:
    typed(cloud, "init")
    again = typed(cloud, "init")
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr.startswith("already_initialised: ")


def test_a_configuration_that_cannot_work_is_named_before_anything_starts(cloud: Path) -> None:
    typed(cloud, "init")
    for file, broken, named in (
        (cloud, TOML, "mqtt.ca: "),
        (cloud, TOML.replace("port = 1", "port = 0"), "mqtt.port: "),
        (cloud.with_name("none.toml"), None, "--config"),
    ):
        if broken is not None:
            file.write_text(broken)
        ended = typed(file, "serve")
        assert ended.returncode == 78
        assert ended.stderr.startswith("bad_config: ")
        assert named in ended.stderr
        assert "Traceback" not in ended.stderr


def test_the_estates_key_is_nobody_elses_to_read(cloud: Path) -> None:
    typed(cloud, "init")
    cloud.write_text(f'{TOML}\n[cards]\nestate = "estate.key"\n')
    key = cloud.with_name("estate.key")
    secret = "5a" * 32
    for content, mode, named in (
        (None, 0, "No such file"),
        (secret, 0o644, "others than its owner"),
        (secret, 0o660, "others than its owner"),
        (secret[2:], 0o600, "not an estate's key"),
    ):
        if content is not None:
            key.write_text(content)
            key.chmod(mode)
        ended = typed(cloud, "verify")
        assert (ended.returncode, "Traceback" in ended.stderr) == (78, False)
        assert ended.stderr.startswith("bad_config: ")
        assert "cards.estate: " in ended.stderr
        assert named in ended.stderr
        assert secret[2:] not in ended.stderr
    key.write_text(secret)
    whole = typed(cloud, "verify")
    assert (whole.returncode, whole.stdout.startswith("whole: ")) == (0, True), whole.stderr
