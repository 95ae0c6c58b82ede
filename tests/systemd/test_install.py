"""The units start as they are shipped, by the commands of docs/install.md, under a real systemd."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

import run
from provisioning.processes import wait_until
from tests.systemd.machine import Machine, booted, obstacle

# One machine, in the order of its life: one worker runs this file.
pytestmark = [
    pytest.mark.systemd,
    pytest.mark.broker_mosquitto,
    pytest.mark.skipif(obstacle() is not None, reason=f"cannot boot a systemd here: {obstacle()}"),
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


def test_a_certificate_renewed_by_root_is_taken_without_a_restart(running: Machine) -> None:
    first = _property(running, "tapledger-edge", "MainPID")
    before = _asked(running, "/v1/terminals/t-0001")["certificate_ends_ms"]
    authority = "--authority /media/safe/authority"
    _typed(running, f"tapledger-provision terminal renew /etc/tapledger {authority} --now")
    _typed(running, "systemctl restart tapledger-broker")

    def renewed() -> bool:
        return _asked(running, "/v1/terminals/t-0001")["certificate_ends_ms"] != before

    wait_until(renewed, READY_S, "the new certificate")
    assert _property(running, "tapledger-edge", "MainPID") == first


def test_a_lost_journal_goes_on_in_a_new_epoch(running: Machine) -> None:
    _typed(running, "systemctl stop tapledger-edge && rm /var/lib/tapledger/*")
    reach = "--cloud http://127.0.0.1:8000 --token-file /media/safe/provisioner.token"
    _typed(running, f"tapledger-provision terminal epoch /etc/tapledger {reach} --trusted")
    _typed(running, "systemctl start tapledger-edge")

    def goes_on() -> bool:
        seen = _asked(running, "/v1/terminals/t-0001")
        return (seen["epoch"], seen["presence"], seen["upto_seq"]) == (2, "online", 1)

    wait_until(goes_on, READY_S, "the opening of epoch 2 in the ledger")


@pytest.mark.parametrize(
    ("user", "may_not"),
    [
        ("tapledger", "echo x >> /etc/tapledger/edge.toml"),
        ("tapledger", "cat /var/lib/tapledger-cloud/keys/ledger.pem"),
        ("tapledger-cloud", "cat /etc/tapledger/signing.pem"),
        ("tapledger-broker", "cat /var/lib/tapledger-cloud/ledger.db"),
        ("tapledger-kiosk", "cat /etc/tapledger/till.token"),
    ],
)
def test_a_program_reaches_its_own_files_alone(running: Machine, user: str, may_not: str) -> None:
    done = running.run(f"runuser -u {user} -- sh -c '{may_not}'")
    assert "Permission denied" in done.stderr


def test_a_configuration_that_cannot_be_used_waits_for_a_technician(running: Machine) -> None:
    """The last test here: the terminal stays down."""
    _typed(running, "sed -i s/^site/side/ /etc/tapledger/edge.toml")
    assert not running.succeeds("systemctl restart tapledger-edge")
    assert _property(running, "tapledger-edge", "ActiveState") == "failed"
    assert _property(running, "tapledger-edge", "ExecMainStatus") == "78"
    assert _property(running, "tapledger-edge", "NRestarts") == "0"
    assert "bad_config" in _journal(running)
    _typed(running, "sed -i s/^side/site/ /etc/tapledger/edge.toml")
    _typed(running, "systemctl kill --signal=KILL --kill-who=main tapledger-cloud")

    def came_back() -> bool:
        return _property(running, "tapledger-cloud", "NRestarts") == "1"

    wait_until(came_back, READY_S, "the cloud starts again after a crash")
