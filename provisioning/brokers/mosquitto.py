"""Mosquitto as the MQTT broker: Debian's, for production on one host.

It identifies a client by its certificate's common name, which is its client id as well: no terminal
can take another's session over. Publishing what is not allowed is acknowledged and dropped, and so
is a subscription: the rule is applied when a message is delivered. A terminal that is not in the
list can connect, and then neither speak nor hear.
"""

from __future__ import annotations

import getpass
import shutil
from pathlib import Path

from protocol.topics import Address, terminal_filter
from provisioning.authority import CLOUD, Identity
from provisioning.brokers.port import IN_FLIGHT_MAX, PACKET_BYTES_MAX, BrokerKind, BrokerSettings
from provisioning.errors import BrokerMissing
from provisioning.vault import private_folder, write_private

# Debian keeps it where the PATH of ordinary users does not look.
_USUAL = Path("/usr/sbin/mosquitto")


def configure(settings: BrokerSettings) -> list[str]:
    """Write mosquitto.conf and its access list; return the command that serves it."""
    program = shutil.which("mosquitto") or (str(_USUAL) if _USUAL.exists() else None)
    if not program:
        raise BrokerMissing("apt-get install mosquitto")
    folder, own = settings.folder, settings.server.copied(settings.folder, "server")
    store = private_folder(folder / "store")
    acl = write_private(folder / "acl", _access(settings))
    file = write_private(folder / "mosquitto.conf", _configuration(settings, own, acl, store))
    return [program, "-c", str(file)]


def _configuration(settings: BrokerSettings, own: Identity, acl: Path, store: Path) -> str:
    # The value runs to the end of the line, comments included; so no line has one.
    return f"""\
user {getpass.getuser()}
per_listener_settings false
listener {settings.port} {settings.host}
cafile {own.ca}
certfile {own.certificate}
keyfile {own.key}
require_certificate true
use_identity_as_username true
use_username_as_clientid true
allow_anonymous false
acl_file {acl}
max_inflight_messages {IN_FLIGHT_MAX}
max_queued_messages 1000000
max_queued_bytes 536870912
set_tcp_nodelay true
max_packet_size {PACKET_BYTES_MAX}
persistence true
persistence_location {store}/
autosave_interval 30
persistent_client_expiration 30d
log_dest stdout
"""


def _access(settings: BrokerSettings) -> str:
    return "\n".join([_cloud(settings.tenant), *map(_terminal, settings.terminals)])


def _cloud(tenant: str) -> str:
    return f"""\
user {CLOUD}
topic read tl/v1/{tenant}/+/+/up/#
topic write tl/v1/{tenant}/+/+/down/#
"""


def _terminal(at: Address) -> str:
    down = terminal_filter(at)
    return f"""\
user {at.terminal}
topic write {down.removesuffix("down/#")}up/#
topic read {down}
"""


BROKER = BrokerKind("mosquitto", configure)
