"""What a broker is to us: a configuration folder and the command that serves it.

Every broker is set up alike: TLS with client certificates alone, loopback unless told otherwise,
a terminal may publish under its own ``up`` and read its own ``down``, the cloud the reverse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from protocol.topics import Address
from provisioning.authority import Identity

# Whole MQTT packets: 32 KiB of batch or member list with room; a larger one is a mistake.
PACKET_BYTES_MAX = 1 << 20
# Messages on their way to one client that it has not acknowledged.
IN_FLIGHT_MAX = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """``folder`` takes configuration, certificates and stored messages, all that the broker reads.

    ``server`` is the broker's own identity; ``terminals`` are all that may speak besides the cloud.
    """

    folder: Path
    port: int
    server: Identity
    tenant: str
    terminals: tuple[Address, ...]
    host: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class BrokerKind:
    """``configure`` writes the files and returns the command; BrokerMissing without its program.

    Writing again and sending SIGHUP lets a running broker know terminals that came or went since.
    """

    name: str
    configure: Callable[[BrokerSettings], list[str]]
