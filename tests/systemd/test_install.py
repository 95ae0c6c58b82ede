"""The units start as they are shipped, by the commands of docs/install.md, under a real systemd."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator

import pytest

import run
from provisioning.processes import wait_until
from tests.systemd.machine import Machine, booted

pytestmark = [
    pytest.mark.systemd,
    pytest.mark.broker_mosquitto,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it boots systemd in namespaces"),
]
GUIDE = run.ROOT / "docs" / "install.md"
READY_S = 60.0
# How the guide says it where two machines are meant; here one is both.
CARRY = "cp -r /media/safe/t-0001/. /etc/tapledger/ && rm -r /media/safe/t-0001"


def commands() -> list[str]:
    """The guide's commands: programs, cloud, enrolment, terminal."""
    found = re.findall(r"^```sh\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(found) == 4
    return found


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine on which the guide's programs are installed, and nothing is configured."""
    with booted(tmp_path_factory.mktemp("machine")) as machine:
        _typed(machine, "mkdir -p /media/safe && chmod 700 /media/safe")
        _typed(machine, commands()[0])
        yield machine


def _typed(machine: Machine, script: str) -> str:
    done = machine.run(script)
    assert done.returncode == 0, done.stdout + done.stderr + _journal(machine)
    return done.stdout


def _journal(machine: Machine) -> str:
    return machine.run("journalctl --no-pager --lines=40 --output=cat").stdout


def _property(machine: Machine, unit: str, name: str) -> str:
    return _typed(machine, f"systemctl show --value --property={name} {unit}").strip()


def _asked(machine: Machine, path: str) -> dict[str, object]:
    """What the cloud's API answers to the provisioner; nothing while it does not answer."""
    script = f"""python -c '
import httpx
token = open("/media/safe/provisioner.token").read().strip()
headers = {{"Authorization": f"Bearer {{token}}"}}
print(httpx.get("http://127.0.0.1:8000{path}", headers=headers, trust_env=False).text)
'"""
    done = machine.run(script)
    answer: dict[str, object] = json.loads(done.stdout) if done.returncode == 0 else {}
    return answer


def _is_online(machine: Machine) -> bool:
    return _asked(machine, "/v1/terminals/t-0001").get("presence") == "online"


@pytest.fixture(scope="module")
def running(machine: Machine) -> Machine:
    """The same machine with broker, cloud and terminal, as the guide leaves it."""
    _, cloud, enrolment, terminal = commands()
    _typed(machine, cloud)
    wait_until(lambda: bool(_asked(machine, "/v1/terminals")), READY_S, _journal(machine))
    _typed(machine, enrolment)
    _typed(machine, CARRY)
    _typed(machine, terminal)
    return machine


def test_the_guide_leads_to_a_terminal_that_is_online(running: Machine) -> None:
    wait_until(lambda: _is_online(running), READY_S, "online")
    for unit in ("tapledger-broker", "tapledger-cloud", "tapledger-edge"):
        assert _property(running, unit, "NRestarts") == "0"
        assert _property(running, unit, "ActiveState") == "active"
