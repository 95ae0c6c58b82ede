"""Certificates say what they must, and nobody but their owner can read a key."""

from __future__ import annotations

import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from protocol.card_keys import SITE_SLOTS
from protocol.topics import Address, address
from provisioning.authority import LOOPBACK_NAMES, TERMINAL_DAYS, Authority, init, request
from provisioning.errors import AuthorityMissing, AuthorityThere, BadRequest
from run import ROOT

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
AT = address("acme", "site-1", "t-0001")
# A station that asks for the place of a site in each folder, once it is told to.
STATION = """
import sys
from pathlib import Path
from provisioning.sites import Sites
site, *folders = sys.argv[1:]
print("ready", flush=True)
input()
print(*(Sites(Path(folder, "sites")).slot(site) for folder in folders))
"""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return init(tmp_path / "authority", "acme", NOW)


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _issued(authority: Authority, at: Address = AT) -> x509.Certificate:
    return x509.load_pem_x509_certificate(authority.sign(request(at, _new_key()), at, NOW))


def test_a_terminal_certificate_names_its_terminal_for_90_days(authority: Authority) -> None:
    certificate = _issued(authority)
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert [name.value for name in names] == ["t-0001"]
    assert certificate.not_valid_after_utc == NOW + timedelta(days=TERMINAL_DAYS)
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    ca = x509.load_pem_x509_certificate(authority.ca.read_bytes())
    certificate.verify_directly_issued_by(ca)


def test_the_server_certificate_holds_for_loopback(authority: Authority) -> None:
    identity = authority.server(LOOPBACK_NAMES, NOW)
    certificate = x509.load_pem_x509_certificate(identity.certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def test_every_file_is_its_owners_alone(authority: Authority) -> None:
    authority.server(LOOPBACK_NAMES, NOW)
    authority.cloud(NOW)
    _issued(authority)
    modes = {
        file.name: stat.S_IMODE(file.stat().st_mode)
        for file in authority.folder.rglob("*")
        if file.is_file()
    }
    assert len(modes) >= 10
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(authority.folder.stat().st_mode) == 0o700


def test_the_authority_knows_where_its_terminals_stand(authority: Authority) -> None:
    others = [address("acme", "site-2", "t-0003"), address("acme", "site-1", "t-0002"), AT]
    for at in others:
        _issued(authority, at)
    assert authority.terminals() == (AT, others[1], others[0])


def test_a_site_keeps_its_place_on_cards(authority: Authority) -> None:
    sites = [f"site-{number}" for number in range(SITE_SLOTS)]
    keys = [authority.site_key(site) for site in sites]
    assert [key and (key.site, key.slot) for key in keys] == list(zip(sites, range(7), strict=True))
    assert len({key.secret for key in keys if key}) == SITE_SLOTS
    again = Authority(authority.folder)
    assert again.site_key("site-8") is None
    assert again.site_key("site-3") == keys[3]
    assert again.site_keys() == tuple(keys)
    assert stat.S_IMODE((authority.folder / "sites").stat().st_mode) == 0o600


def test_stations_at_once_give_no_place_twice(tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(10)]
    for folder in folders:
        folder.mkdir()
    stations = [
        subprocess.Popen(
            [sys.executable, "-c", STATION, f"site-{number}", *map(str, folders)],
            cwd=ROOT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for number in range(SITE_SLOTS)
    ]
    for station in stations:
        assert station.stdout
        assert station.stdout.readline() == "ready\n"
    for station in stations:
        assert station.stdin
        station.stdin.write("\n")
        station.stdin.flush()
    given = [station.communicate(timeout=60)[0].split() for station in stations]
    for slots in zip(*given, strict=True):
        assert sorted(slots) == [str(slot) for slot in range(SITE_SLOTS)]


def test_an_opened_authority_is_the_one_that_was_made(authority: Authority) -> None:
    again = Authority(authority.folder)
    assert again.tenant == "acme"
    assert again.cards.issuer.key_id == authority.cards.issuer.key_id
    assert again.cards.admin_master == authority.cards.admin_master
    assert len(again.cards.reference) == 32


def test_a_second_authority_in_the_folder_is_refused(authority: Authority) -> None:
    before = (authority.folder / "ca.key").read_bytes()
    with pytest.raises(AuthorityThere):
        init(authority.folder, "acme", NOW)
    assert (authority.folder / "ca.key").read_bytes() == before


@pytest.mark.parametrize("name", ["ca.key", "issuer.key", "card-admin.key", "reference.key"])
def test_half_an_authority_is_refused(authority: Authority, name: str) -> None:
    (authority.folder / name).unlink()
    with pytest.raises(AuthorityMissing, match=name):
        Authority(authority.folder)


@pytest.mark.parametrize(
    "asked",
    [
        address("acme", "site-1", "t-0002"),
        address("acme", "site-2", "t-0001"),
        address("other", "site-1", "t-0001"),
    ],
)
def test_a_request_for_another_terminal_is_refused(authority: Authority, asked: Address) -> None:
    with pytest.raises(BadRequest):
        authority.sign(request(asked, _new_key()), AT, NOW)


def test_no_terminal_may_call_itself_the_cloud(authority: Authority) -> None:
    at = address("acme", "site-1", "cloud")
    with pytest.raises(BadRequest):
        authority.sign(request(at, _new_key()), at, NOW)


def test_a_request_that_is_not_signed_by_its_key_is_refused(authority: Authority) -> None:
    pem = request(AT, _new_key())
    der = bytearray(x509.load_pem_x509_csr(pem).public_bytes(Encoding.DER))
    der[-5] ^= 1
    forged = x509.load_der_x509_csr(bytes(der)).public_bytes(Encoding.PEM)
    with pytest.raises(BadRequest):
        authority.sign(forged, AT, NOW)
