"""Makes a folder the cloud's: its certificate for the broker, and a whole cloud.toml.

The cloud's own keys and tables are made by ``tapledger-cloud init``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from provisioning.authority import Authority, Identity
from provisioning.vault import write_private

CONFIGURATION = "cloud.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudPlace:
    """Where the cloud keeps its data (absolute, or from its folder), and what is around it.

    ``database`` is a URL; empty = SQLite in ``data_dir``.
    """

    data_dir: str
    database: str = ""
    broker_host: str
    broker_port: int
    http_port: int = 8000


def furnish(folder: Path, place: CloudPlace, authority: Authority, now: datetime) -> Path:
    """Write a new certificate, and a cloud.toml unless there is one; return the cloud.toml."""
    identity = authority.cloud(now).copied(folder, "tls")
    file = folder / CONFIGURATION
    if file.exists():
        return file
    return write_private(file, _configuration(authority.tenant, place, identity))


def _configuration(tenant: str, place: CloudPlace, identity: Identity) -> str:
    database = place.database or f"sqlite:///{place.data_dir}/ledger.db"
    return f"""\
tenant = "{tenant}"
data_dir = {json.dumps(place.data_dir)}
database = {json.dumps(database)}

[http]
host = "127.0.0.1"
port = {place.http_port}

[mqtt]
host = {json.dumps(place.broker_host)}
port = {place.broker_port}
ca = "{identity.ca.name}"
certificate = "{identity.certificate.name}"
key = "{identity.key.name}"
"""
