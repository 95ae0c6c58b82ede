"""Renews what a terminal holds: its certificate, the key of its journal, or that of its site.

All are written so that an interrupted run leaves a terminal that starts, or that the same command
mends. The journal itself is the agent's.
"""

from __future__ import annotations

import re
import tomllib
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from cryptography import x509

from protocol.errors import Malformed
from protocol.signing import EDDSA
from protocol.topics import address
from provisioning.authority import Authority
from provisioning.certificate import renewed_from
from provisioning.cloud_api import CloudApi
from provisioning.enrol import (
    CONFIGURATION,
    SITE_KEY,
    TLS_CERTIFICATE,
    kept_signing_key,
    site_file,
)
from provisioning.errors import ConfigurationOwn, NotListed, SiteWithoutPlace, TerminalMissing
from provisioning.vault import write_private

_NEXT_KEY = "signing.next.pem"
# The head of the table, and in it the line with which a terminal says that it has no site's key.
_KEYS = re.compile(r"^\[keys\][ \t]*\n", re.MULTILINE)
_NO_SITE = re.compile(r'^site = ""\n', re.MULTILINE)


class Renewed(NamedTuple):
    """Until when the certificate of a terminal is good, and whether it is a new one."""

    until: datetime
    is_new: bool


def renew(folder: Path, authority: Authority, now: datetime, *, at_once: bool) -> Renewed:
    """Write a new certificate for the same key once two thirds of the present one are over.

    ``at_once``: also before. The folder needs to hold the terminal's tls.pem alone. Raises
    TerminalMissing without it, BadRequest and NotListed for a certificate that is not renewed.
    """
    file = folder / TLS_CERTIFICATE
    try:
        present = x509.load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError) as error:
        raise TerminalMissing(f"{file}: {error}") from error
    if now < renewed_from(present) and not at_once:
        return Renewed(present.not_valid_after_utc, is_new=False)
    pem = authority.renew(present, now)
    write_private(file, pem)
    return Renewed(x509.load_pem_x509_certificate(pem).not_valid_after_utc, is_new=True)


def open_epoch(folder: Path, cloud: CloudApi, *, trusted: bool) -> str:
    """Give the terminal a new signing key and the grant for its next epoch; return its id.

    ``trusted``: what the old key still hands in is taken as before. TerminalMissing for a folder
    without an edge.toml; see CloudApi for what the cloud may answer.
    """
    try:
        document = tomllib.loads((folder / CONFIGURATION).read_text(encoding="utf-8"))
        terminal: str = document["terminal"]
        signing, grant = (folder / document["keys"][name] for name in ("signing", "grant"))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise TerminalMissing(f"{folder / CONFIGURATION}: {error}") from error
    key = kept_signing_key(folder / _NEXT_KEY)  # on disk before the cloud knows it
    public_key = key.public_key().public_bytes_raw()
    granted = cloud.open_epoch(terminal, EDDSA, public_key, trusted=trusted)
    write_private(grant, granted.grant)
    (folder / _NEXT_KEY).replace(signing)
    return terminal


def give_site_key(folder: Path, authority: Authority) -> str:
    """Write the key of its site to an enrolled terminal, and name it in edge.toml; return the site.

    The key comes first: interrupted, the terminal starts as before. TerminalMissing, NotListed for
    one that was withdrawn or stands elsewhere, SiteWithoutPlace, ConfigurationOwn.
    """
    file = folder / CONFIGURATION
    try:
        text = file.read_text(encoding="utf-8")
        document = tomllib.loads(text)
        at = address(document["tenant"], document["site"], document["terminal"])
        named = document["keys"].get("site", "")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, Malformed) as error:
        raise TerminalMissing(f"{file}: {error}") from error
    if at not in authority.terminals():
        raise NotListed(f"{at.terminal} at {at.site} of {at.tenant}")
    key = authority.site_key(at.site)
    if key is None:
        raise SiteWithoutPlace(at.site)
    write_private(folder / (named or SITE_KEY), site_file(key))
    if not named:
        write_private(file, _naming_site_key(text))
    return at.site


def _naming_site_key(text: str) -> str:
    """edge.toml with one line more, or another; whatever else stands in it stays as it is."""
    line = f'site = "{SITE_KEY}"\n'
    named = _KEYS.sub(lambda head: head[0] + line, _NO_SITE.sub("", text, count=1), count=1)
    wanted = tomllib.loads(text)
    wanted["keys"]["site"] = SITE_KEY
    try:
        same = tomllib.loads(named) == wanted
    except tomllib.TOMLDecodeError:
        same = False
    if not same:
        raise ConfigurationOwn(f"[keys]: {line.strip()}")
    return named
