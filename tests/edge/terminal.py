"""A terminal as a process: its folder, a PN532 on a pseudo-terminal, its HTTP."""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from drivers.virtual.pn532 import Pn532Device
from protocol.credential import Credential, issue
from protocol.signing import Ed25519Verifier
from provisioning.authority import private_pem
from provisioning.processes import Child, free_port
from run import ROOT
from tests.drivers.world import ISSUER, TRUST
from tests.edge.world import AT, CLOUD_KEY, RULES_KEY, granted, wait_until
from tests.services.broker import Broker

TOKEN = "till-token"
_DAY_S = 86_400


def credential_for_years(serial: bytes, public_key: bytes) -> bytes:
    """A credential that is good today."""
    today = int(time.time()) // _DAY_S
    return issue(
        Credential(
            card_id=serial,
            public_key=public_key,
            tenant=AT.tenant,
            issued_day=today - 1,
            expires_day=today + 365,
        ),
        ISSUER,
    )


def named(key: Ed25519Verifier) -> str:
    """A public key as edge.toml writes it."""
    return f"{key.algorithm}:{key.public.hex()}"


def write_folder(
    folder: Path, broker: Broker, http_port: int, reader_path: str, devices: str = ""
) -> Path:
    """Make ``folder`` an enrolled terminal; return its edge.toml, with the tables ``devices``."""
    folder.mkdir(exist_ok=True)
    identity = broker.identities[AT]
    (folder / "signing.pem").write_bytes(
        private_pem(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    )
    (folder / "grant.cose").write_bytes(granted())
    (folder / "reference.key").write_text(TRUST.reference_key.hex())
    (folder / "till.token").write_text(TOKEN)
    file = folder / "edge.toml"
    file.write_text(f"""
tenant = "{AT.tenant}"
site = "{AT.site}"
terminal = "{AT.terminal}"
[keys]
signing = "signing.pem"
grant = "grant.cose"
reference = "reference.key"
cloud = ["{named(CLOUD_KEY.verifier)}"]
rules = ["{named(RULES_KEY.verifier)}"]
issuers = ["{named(ISSUER.verifier)}"]
[mqtt]
host = "127.0.0.1"
port = {broker.port}
ca = "{identity.ca}"
certificate = "{identity.certificate}"
key = "{identity.key}"
[reader]
kind = "nfc"
path = "tty:{reader_path}"
[http]
port = {http_port}
token_file = "till.token"
{devices}
""")
    return file


class TerminalProcess:
    """``python -m edge`` with a reader; start and kill it as often as a test likes."""

    def __init__(
        self,
        folder: Path,
        broker: Broker,
        arguments: list[str] | None = None,
        devices: str = "",
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.reader = Pn532Device()
        self.config = write_folder(folder, broker, self.port, self.reader.path, devices)
        command = arguments or [sys.executable, "-m", "edge"]
        self.child = Child(
            "edge",
            [*command, "--config", str(self.config)],
            folder / "edge.log",
            {"PYTHONPATH": str(ROOT)},
        )

    def start(self) -> None:
        self.child.start()
        wait_until(lambda: self.child.pid is None or self.health(), "the terminal's start")
        assert self.child.pid, (self.folder / "edge.log").read_text()

    def close(self) -> None:
        self.child.stop()
        self.reader.close()

    def health(self) -> dict[str, Any] | None:
        """What /healthz says, None while nobody answers."""
        try:
            return self._ask("GET", "/healthz")[1]
        except (OSError, urllib.error.URLError):
            return None

    def order(self, order: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """PUT an order as a till does."""
        return self._ask("PUT", f"/v1/orders/{order}", body)

    def answer(self, order: str, wait_s: float = 10) -> dict[str, Any]:
        """Wait for an order's answer as a till does."""
        return self._ask("GET", f"/v1/orders/{order}?wait_s={wait_s}")[1]

    def ask_receipt(self, order: str) -> dict[str, Any]:
        """Have a receipt printed as a till does."""
        return self._ask("POST", f"/v1/orders/{order}/receipt")[1]

    def receipt(self, order: str) -> dict[str, Any]:
        """What became of a receipt."""
        return self._ask("GET", f"/v1/orders/{order}/receipt")[1]

    def _ask(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            method=method,
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())


def wait_health(terminal: TerminalProcess, **expected: object) -> None:
    """Return once /healthz says so."""

    def holds() -> bool:
        health = terminal.health()
        return health is not None and expected.items() <= health.items()

    wait_until(holds, f"health {expected}, not {terminal.health()}")
