"""A terminal outlives its certificate and its journal: against a real cloud and a real broker."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from typer.testing import CliRunner

import run
from protocol.card_keys import SITE_SLOTS
from protocol.topics import address
from provisioning.__main__ import app
from provisioning.authority import TERMINAL_DAYS, Authority, init, private_pem, request
from provisioning.cloud_api import CloudApi
from provisioning.demo.residents import TENANT
from provisioning.demo.town import Town
from provisioning.enrol import Surroundings, enrol
from provisioning.errors import (
    BadRequest,
    CloudUnreachable,
    ConfigurationOwn,
    NotListed,
    SiteWithoutPlace,
    TerminalMissing,
)
from provisioning.processes import free_port
from provisioning.renewal import give_site_key, open_epoch, renew

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
AT = address("acme", "site-1", "t-0001")
TWO_THIRDS = timedelta(days=TERMINAL_DAYS * 2 / 3)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return init(tmp_path / "authority", "acme", NOW)


@pytest.fixture
def folder(tmp_path: Path, authority: Authority) -> Path:
    """A terminal's folder, as far as its certificate goes."""
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "tls.key").write_bytes(private_pem(key))
    (tmp_path / "tls.pem").write_bytes(authority.sign(request(AT, key), AT, NOW))
    return tmp_path


def _certificate(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / "tls.pem").read_bytes())


def test_a_certificate_is_renewed_after_two_thirds_of_its_life(
    folder: Path, authority: Authority
) -> None:
    before = _certificate(folder)
    early = renew(folder, authority, NOW + TWO_THIRDS - timedelta(days=1), at_once=False)
    assert early == (before.not_valid_after_utc, False)
    assert _certificate(folder) == before
    later = NOW + TWO_THIRDS + timedelta(days=1)
    assert renew(folder, authority, later, at_once=False) == (
        later + timedelta(days=TERMINAL_DAYS),
        True,
    )
    new = _certificate(folder)
    assert new.subject == before.subject
    key = load_pem_private_key((folder / "tls.key").read_bytes(), None)
    assert new.public_key() == key.public_key()
    assert authority.certificates() == (new,)


def test_a_certificate_is_renewed_at_once_when_asked_to_and_long_after_its_end(
    folder: Path, authority: Authority
) -> None:
    assert renew(folder, authority, NOW + timedelta(days=1), at_once=True).is_new
    assert renew(folder, authority, NOW + timedelta(days=400), at_once=False).is_new


def test_only_a_terminal_of_this_authority_that_is_on_the_list_is_renewed(
    folder: Path, authority: Authority, tmp_path: Path
) -> None:
    other = init(tmp_path / "other", "acme", NOW)
    with pytest.raises(BadRequest):
        renew(folder, other, NOW, at_once=True)
    shutil.copy(authority.cloud(NOW).certificate, tmp_path / "other" / "tls.pem")
    with pytest.raises(BadRequest):
        renew(tmp_path / "other", authority, NOW, at_once=True)
    authority.withdraw(AT.terminal)
    with pytest.raises(NotListed):
        renew(folder, authority, NOW, at_once=True)
    (folder / "tls.pem").unlink()
    with pytest.raises(TerminalMissing):
        renew(folder, authority, NOW, at_once=True)


OWN_WORDS = """\
tenant = "acme"  # ours
site = "site-1"
terminal = "t-0001"

[keys]
signing = "signing.pem"
{site}cloud = [
  "-8:00",
]

[http]
port = 8100
"""


@pytest.mark.parametrize("line", ["", 'site = ""\n'], ids=["none", "empty"])
def test_an_enrolled_terminal_is_given_the_key_of_its_site(
    folder: Path, authority: Authority, line: str
) -> None:
    file, key = folder / "edge.toml", folder / "site.key"
    file.write_text(OWN_WORDS.format(site=line))
    typed = ["terminal", "site-key", str(folder), "--authority", str(authority.folder)]
    assert "the key of site-1" in CliRunner().invoke(app, typed, catch_exceptions=False).output
    named = 'site = "site.key"\n'
    assert file.read_text() == OWN_WORDS.format(site="").replace("[keys]\n", "[keys]\n" + named)
    given = tomllib.loads(key.read_text())
    mine = authority.cards.estate.site_key("site-1", 0)
    assert given == {"site": "site-1", "slot": 0, "secret": mine.secret.hex()}
    assert [each.stat().st_mode & 0o777 for each in (file, key)] == [0o600, 0o600]
    key.unlink()
    before = file.read_text()
    assert give_site_key(folder, authority) == "site-1"
    assert (file.read_text(), tomllib.loads(key.read_text())) == (before, given)


def test_a_site_key_is_for_listed_terminals_of_sites_with_a_place(
    folder: Path, authority: Authority, tmp_path: Path
) -> None:
    file, key = folder / "edge.toml", folder / "site.key"
    with pytest.raises(TerminalMissing):
        give_site_key(folder, authority)
    file.write_text(OWN_WORDS.format(site="").replace("site-1", "site-2"))
    with pytest.raises(NotListed):
        give_site_key(folder, authority)
    own = OWN_WORDS.format(site="").replace("[keys]", "[ keys ]")
    file.write_text(own)
    with pytest.raises(ConfigurationOwn, match=re.escape('site = "site.key"')):
        give_site_key(folder, authority)
    assert file.read_text() == own
    key.unlink()
    full = init(tmp_path / "full", "acme", NOW)
    for number in range(SITE_SLOTS):
        full.site_key(f"other-{number}")
    tls = ec.generate_private_key(ec.SECP256R1())
    full.sign(request(AT, tls), AT, NOW)
    with pytest.raises(SiteWithoutPlace):
        give_site_key(folder, full)
    authority.withdraw(AT.terminal)
    with pytest.raises(NotListed):
        give_site_key(folder, authority)
    assert not key.exists()


def _agent(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge", "--config", str(folder / "edge.toml"), *words]
    return subprocess.run(command, cwd=run.ROOT, capture_output=True, text=True, check=False)


@pytest.mark.broker_nats
def test_a_lost_journal_goes_on_with_a_new_key_in_the_next_epoch(
    town: Town, api: CloudApi, tmp_path: Path
) -> None:
    at = address(TENANT, "site-1", "t-0002")
    around = Surroundings(
        broker_host="127.0.0.1", broker_port=town.broker_port, reader_kind="nfc", reader_path="usb"
    )
    folder = tmp_path / "terminal"
    enrol(folder, at, around, town.authority, api, datetime.now(UTC))
    old_key = (folder / "signing.pem").read_bytes()
    nobody = CloudApi(f"http://127.0.0.1:{free_port()}", "token")
    with pytest.raises(CloudUnreachable):
        open_epoch(folder, nobody, trusted=True)
    nobody.close()
    assert (folder / "signing.pem").read_bytes() == old_key
    assert _agent(folder, "check-config").returncode == 0, "the old epoch goes on"

    # The cloud's answer is lost once: the same key is asked for again and is granted once.
    kept = (folder / "signing.next.pem").read_bytes()
    public = load_pem_private_key(kept, None).public_key()
    assert open_epoch(folder, api, trusted=True) == at.terminal
    (folder / "signing.next.pem").write_bytes(kept)
    assert open_epoch(folder, api, trusted=True) == at.terminal

    assert load_pem_private_key((folder / "signing.pem").read_bytes(), None).public_key() == public
    assert not (folder / "signing.next.pem").exists()
    assert _agent(folder, "check-config").returncode == 0
    assert api.get(f"/v1/terminals/{at.terminal}")["epoch"] == 2
    with pytest.raises(TerminalMissing):
        open_epoch(tmp_path, api, trusted=False)
