"""Makes a folder a terminal: keys made on it, a certificate, registration, a whole edge.toml.

The authority signs, the cloud grants the first epoch; running the agent is left to edge.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from protocol.card_keys import SiteKey
from protocol.signing import EDDSA, Ed25519Verifier
from protocol.topics import Address
from provisioning.authority import Authority, private_pem, request
from provisioning.cloud_api import CloudApi, Registration
from provisioning.errors import TerminalMissing, TerminalThere
from provisioning.vault import private_folder, write_private

CONFIGURATION = "edge.toml"
SIGNING_KEY, GRANT, SITE_KEY = "signing.pem", "grant.cose", "site.key"
TLS_KEY, TLS_CERTIFICATE = "tls.key", "tls.pem"
TILL_TOKEN = "till.token"  # noqa: S105 - the file's name
_TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a terminal finds around it: the broker, its reader, the port of its pages.

    ``scanner_kind``: a second reader, for codes or tags; none when it is empty.
    ``data_dir``: where its journal goes, absolute or from its folder.
    ``top_ups``: amounts in minor units that its page takes in cash; none unless staff stand there.
    """

    broker_host: str
    broker_port: int
    reader_kind: str
    reader_path: str = ""
    scanner_kind: str = ""
    scanner_path: str = ""
    allow_virtual_reader: bool = False
    http_port: int = 8100
    data_dir: str = "data"
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

    TerminalThere when the folder is enrolled already. Interrupted anywhere it can be run again
    within a day: it goes on with the keys that it finds.
    """
    if (folder / CONFIGURATION).exists():
        raise TerminalThere(str(folder))
    private_folder(folder)
    tls_key = _kept_tls_key(folder / TLS_KEY)
    signing_key = kept_signing_key(folder / SIGNING_KEY)
    for name, content in (
        (TLS_CERTIFICATE, authority.sign(request(at, tls_key), at, now)),
        ("ca.pem", authority.ca.read_bytes()),
        ("reference.key", authority.cards.reference.hex().encode()),
        (TILL_TOKEN, secrets.token_urlsafe(_TOKEN_BYTES).encode()),
    ):
        write_private(folder / name, content)
    site = authority.site_key(at.site)
    if site is not None:
        write_private(folder / SITE_KEY, site_file(site))
    public_key = signing_key.public_key().public_bytes_raw()
    registration = cloud.register_terminal(at, EDDSA, public_key)
    write_private(folder / GRANT, registration.grant)
    issuer = authority.cards.issuer.verifier
    text = _configuration(at, around, registration, issuer, "" if site is None else SITE_KEY)
    return write_private(folder / CONFIGURATION, text)


def kept_signing_key(file: Path) -> ed25519.Ed25519PrivateKey:
    """Return the Ed25519 key that ``file`` keeps; make it when there is none yet.

    TerminalMissing when the file holds something else.
    """
    key = _kept_key(file, ed25519.Ed25519PrivateKey.generate)
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise TerminalMissing(f"{file} is a key of another kind")
    return key


def _kept_tls_key(file: Path) -> ec.EllipticCurvePrivateKey:
    key = _kept_key(file, lambda: ec.generate_private_key(ec.SECP256R1()))
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TerminalMissing(f"{file} is a key of another kind")
    return key


def _kept_key(
    file: Path, make: Callable[[], ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey]
) -> PrivateKeyTypes:
    if not file.exists():
        write_private(file, private_pem(make()))
    try:
        return load_pem_private_key(file.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise TerminalMissing(f"{file} is no private key") from error


def site_file(key: SiteKey) -> str:
    """What the terminal's ``site.key`` holds."""
    return f'site = "{key.site}"\nslot = {key.slot}\nsecret = "{key.secret.hex()}"\n'


def _configuration(
    at: Address,
    around: Surroundings,
    registration: Registration,
    issuer: Ed25519Verifier,
    site_key: str,
) -> str:
    issuers = [f"{issuer.algorithm}:{issuer.public.hex()}"]
    return f"""\
tenant = "{at.tenant}"
site = "{at.site}"
terminal = "{at.terminal}"
data_dir = {json.dumps(around.data_dir)}

[keys]
signing = "{SIGNING_KEY}"
grant = "{GRANT}"
reference = "reference.key"
site = "{site_key}"
cloud = {json.dumps(registration.cloud_keys)}
rules = {json.dumps(registration.rules_keys)}
issuers = {json.dumps(issuers)}

[mqtt]
host = {json.dumps(around.broker_host)}
port = {around.broker_port}
ca = "ca.pem"
certificate = "{TLS_CERTIFICATE}"
key = "{TLS_KEY}"

[reader]
kind = {json.dumps(around.reader_kind)}
path = {json.dumps(around.reader_path)}
allow_virtual = {json.dumps(around.allow_virtual_reader)}
{_scanner(around)}
[http]
port = {around.http_port}
token_file = "{TILL_TOKEN}"
top_ups = {list(around.top_ups)}
"""


def _scanner(around: Surroundings) -> str:
    """The table of the second reader."""
    if not around.scanner_kind:
        return ""
    kind, path = json.dumps(around.scanner_kind), json.dumps(around.scanner_path)
    return f"\n[scanner]\nkind = {kind}\npath = {path}\n"
