"""Makes a folder a terminal: keys made on it, a certificate, registration, a whole edge.toml.

The authority signs, the cloud grants the first epoch; running the agent is left to edge.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from protocol.signing import EDDSA, Ed25519Verifier
from protocol.topics import Address
from provisioning.authority import Authority, private_pem, request
from provisioning.cloud_api import CloudApi, Registration
from provisioning.errors import TerminalThere
from provisioning.vault import private_folder, write_private

CONFIGURATION = "edge.toml"
TILL_TOKEN = "till.token"  # noqa: S105 - the file's name
_TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a terminal finds around it: the broker, its reader, the port of its pages.

    ``top_ups``: amounts in minor units that its page takes in cash; none unless staff stand there.
    """

    broker_host: str
    broker_port: int
    reader_kind: str
    reader_path: str = ""
    allow_virtual_reader: bool = False
    http_port: int = 8100
    top_ups: tuple[int, ...] = ()


def enrol(
    folder: Path,
    at: Address,
    around: Surroundings,
    authority: Authority,
    cloud: CloudApi,
    now: datetime,
) -> Path:
    """Make ``folder`` the terminal ``at``; return its edge.toml, which is written last.

    TerminalThere when the folder is enrolled already. Interrupted before the cloud has answered it
    can be run again; after that the terminal is registered, and needs a new epoch.
    """
    if (folder / CONFIGURATION).exists():
        raise TerminalThere(str(folder))
    private_folder(folder)
    tls_key = ec.generate_private_key(ec.SECP256R1())
    signing_key = ed25519.Ed25519PrivateKey.generate()
    certificate = authority.sign(request(at, tls_key), at, now)
    for name, content in (
        ("tls.key", private_pem(tls_key)),
        ("tls.pem", certificate),
        ("ca.pem", authority.ca.read_bytes()),
        ("signing.pem", private_pem(signing_key)),
        ("reference.key", authority.cards.reference.hex().encode()),
        (TILL_TOKEN, secrets.token_urlsafe(_TOKEN_BYTES).encode()),
    ):
        write_private(folder / name, content)
    public_key = signing_key.public_key().public_bytes_raw()
    registration = cloud.register_terminal(at, EDDSA, public_key)
    write_private(folder / "grant.cose", registration.grant)
    issuer = authority.cards.issuer.verifier
    return write_private(folder / CONFIGURATION, _configuration(at, around, registration, issuer))


def _configuration(
    at: Address, around: Surroundings, registration: Registration, issuer: Ed25519Verifier
) -> str:
    issuers = [f"{issuer.algorithm}:{issuer.public.hex()}"]
    return f"""\
tenant = "{at.tenant}"
site = "{at.site}"
terminal = "{at.terminal}"
data_dir = "data"

[keys]
signing = "signing.pem"
grant = "grant.cose"
reference = "reference.key"
cloud = {json.dumps(registration.cloud_keys)}
rules = {json.dumps(registration.rules_keys)}
issuers = {json.dumps(issuers)}

[mqtt]
host = {json.dumps(around.broker_host)}
port = {around.broker_port}
ca = "ca.pem"
certificate = "tls.pem"
key = "tls.key"

[reader]
kind = {json.dumps(around.reader_kind)}
path = {json.dumps(around.reader_path)}
allow_virtual = {json.dumps(around.allow_virtual_reader)}

[http]
host = "127.0.0.1"
port = {around.http_port}
token_file = "{TILL_TOKEN}"
top_ups = {list(around.top_ups)}
"""
