"""A terminal outlives its certificate and its journal: against a real cloud and a real broker."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

import run
from protocol.topics import address
from provisioning.authority import TERMINAL_DAYS, Authority, init, private_pem, request
from provisioning.cloud_api import CloudApi
from provisioning.demo.residents import TENANT
from provisioning.demo.town import Town
from provisioning.enrol import Surroundings, enrol
from provisioning.errors import BadRequest, CloudUnreachable, NotListed, TerminalMissing
from provisioning.processes import free_port
from provisioning.renewal import open_epoch, renew

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
