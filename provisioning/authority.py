"""The authority of a tenant: who may speak to the broker, and which cards are ours.

One folder of files that only their owner may read: an X.509 authority (EC P-256), the issuer key of
cards (Ed25519), the master of card admin keys (AES-128) and the key of card references (32 bytes).
Time comes in; who gets a certificate is the caller's decision.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from protocol.signing import Ed25519Signer
from protocol.topics import Address, address
from provisioning.errors import AuthorityMissing, AuthorityThere, BadRequest
from provisioning.vault import private_folder, write_private

# A terminal renews at two thirds; a stolen one is worth nothing after the rest.
TERMINAL_DAYS = 90
# Servers and the cloud stand in our own rooms: a year, as browsers and auditors are used to.
SERVER_DAYS = 365
AUTHORITY_DAYS = 3650
# Clocks of terminals are late: a certificate is good from an hour before it was made.
CLOCK_SKEW = timedelta(hours=1)

CLOUD = "cloud"
LOOPBACK_NAMES = ("localhost", "127.0.0.1")

_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
_CLIENT, _SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


@dataclass(frozen=True, slots=True)
class Identity:
    """Files with which a program proves who it is over TLS (PEM)."""

    ca: Path
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class CardKeys:
    """What making member cards needs."""

    issuer: Ed25519Signer
    admin_master: bytes
    reference: bytes


class Authority:
    """An authority in its folder. AuthorityMissing when the folder does not hold a whole one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.tenant: str = tomllib.loads((folder / "authority.toml").read_text())["tenant"]
            self._certificate = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
            key = load_pem_private_key((folder / "ca.key").read_bytes(), password=None)
            issuer = load_pem_private_key((folder / "issuer.key").read_bytes(), password=None)
            master = bytes.fromhex((folder / "card-admin.key").read_text())
            reference = bytes.fromhex((folder / "reference.key").read_text())
        except (OSError, ValueError, KeyError) as error:
            raise AuthorityMissing(f"{folder}: {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise AuthorityMissing("ca.key is not an EC key")
        if not isinstance(issuer, ed25519.Ed25519PrivateKey):
            raise AuthorityMissing("issuer.key is not an Ed25519 key")
        self._key = key
        self.cards = CardKeys(Ed25519Signer(issuer.private_bytes_raw()), master, reference)

    @property
    def ca(self) -> Path:
        """The certificate that everybody here trusts."""
        return self.folder / "ca.pem"

    def sign(self, request_pem: bytes, at: Address, now: datetime) -> bytes:
        """Return the client certificate (PEM) that a terminal asked for, and keep a copy.

        BadRequest unless the request is signed by its own key and names this terminal.
        """
        try:
            request = x509.load_pem_x509_csr(request_pem)
        except ValueError as error:
            raise BadRequest("not a PKCS #10 request") from error
        if not request.is_signature_valid or request.subject != _terminal_name(at):
            raise BadRequest(f"it does not name {at.terminal} at {at.site}, or is not its own")
        if at.tenant != self.tenant or at.terminal == CLOUD:
            raise BadRequest(f"{at.terminal} of tenant {at.tenant}")
        key = request.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise BadRequest("the key must be EC P-256")
        certificate = self._issue(request.subject, key, now, TERMINAL_DAYS, _CLIENT)
        write_private(self._terminals / f"{at.terminal}.pem", certificate)
        return certificate

    def terminals(self) -> tuple[Address, ...]:
        """Every terminal that holds a certificate, in the order of ids."""
        return tuple(
            _address_of(x509.load_pem_x509_certificate(file.read_bytes()))
            for file in sorted(self._terminals.glob("*.pem"))
        )

    def server(self, names: Iterable[str], now: datetime) -> Identity:
        """Make a server's key and certificate for host names and addresses; the first names it."""
        hosts = tuple(names)
        return self._own("server", hosts[0], now, _SERVER, hosts)

    def cloud(self, now: datetime) -> Identity:
        """Make the cloud's client key and certificate: the one name that may speak to all."""
        return self._own("cloud", CLOUD, now, _CLIENT, ())

    @property
    def _terminals(self) -> Path:
        return private_folder(self.folder / "terminals")

    def _own(
        self,
        stem: str,
        name: str,
        now: datetime,
        usage: x509.ObjectIdentifier,
        hosts: Iterable[str],
    ) -> Identity:
        key = ec.generate_private_key(ec.SECP256R1())
        files = Identity(self.ca, self.folder / f"{stem}.pem", self.folder / f"{stem}.key")
        certificate = self._issue(_name(name), key.public_key(), now, SERVER_DAYS, usage, hosts)
        write_private(files.key, private_pem(key))
        write_private(files.certificate, certificate)
        return files

    def _issue(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        now: datetime,
        days: int,
        usage: x509.ObjectIdentifier,
        hosts: Iterable[str] = (),
    ) -> bytes:
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = _dated(subject, self._certificate.subject, key, now, days)
        builder = builder.add_extension(
            x509.BasicConstraints(ca=False, path_length=None), critical=True
        )
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        builder = builder.add_extension(issuer_key, critical=False)
        names = [_general_name(host) for host in hosts]
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, SHA256()).public_bytes(Encoding.PEM)


def init(folder: Path, tenant: str, now: datetime) -> Authority:
    """Make every key of a new authority; AuthorityThere when the folder holds one."""
    private_folder(folder)
    if (folder / "ca.key").exists():
        raise AuthorityThere(str(folder))
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(f"{tenant} tapledger authority")
    builder = _dated(subject, subject, key.public_key(), now, AUTHORITY_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_SIGNS_CERTIFICATES, critical=True)
    builder = builder.add_extension(
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
    )
    certificate = builder.sign(key, SHA256()).public_bytes(Encoding.PEM)
    for name, content in (
        ("authority.toml", f'tenant = "{tenant}"\n'.encode()),
        ("ca.pem", certificate),
        ("issuer.key", private_pem(ed25519.Ed25519PrivateKey.generate())),
        ("card-admin.key", os.urandom(16).hex().encode()),
        ("reference.key", os.urandom(32).hex().encode()),
        ("ca.key", private_pem(key)),  # the last: with it the authority is whole
    ):
        write_private(folder / name, content)
    return Authority(folder)


def request(at: Address, key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a terminal's certificate request (PKCS #10, PEM), signed by its own key."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_terminal_name(at))
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


def private_pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    """PKCS #8 PEM of a private key, in clear: the file's mode protects it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _terminal_name(at: Address) -> x509.Name:
    """O = tenant, OU = site, CN = terminal: a certificate alone says where its terminal stands."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, at.tenant),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, at.site),
            x509.NameAttribute(NameOID.COMMON_NAME, at.terminal),
        ]
    )


def _address_of(certificate: x509.Certificate) -> Address:
    parts = (NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.COMMON_NAME)
    values = [certificate.subject.get_attributes_for_oid(part)[0].value for part in parts]
    return address(*(str(value) for value in values))


def _dated(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    days: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + timedelta(days=days))
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
