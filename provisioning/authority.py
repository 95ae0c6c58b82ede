"""The authority of a tenant: who may speak to the broker, and which cards are ours.

One folder of files that only their owner may read: an X.509 authority (EC P-256), the issuer key of
cards (Ed25519), the master of card admin keys (AES-128), the key of card references (32 bytes) and
the estate's key (32 bytes), from which keys of sites and cards come.
Time comes in; who gets a certificate is the caller's decision.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from protocol.card_keys import SiteKey
from protocol.estate import ESTATE_KEY_BYTES, EstateKey
from protocol.identifiers import check_level
from protocol.signing import Ed25519Signer
from protocol.topics import Address
from provisioning.certificate import (
    SIGNS_CERTIFICATES,
    address_of,
    common_name,
    dated,
    general_name,
    terminal_name,
)
from provisioning.errors import AuthorityMissing, AuthorityThere, BadRequest, NotListed
from provisioning.sites import Sites
from provisioning.vault import private_folder, write_private

# A terminal renews at two thirds; a stolen one is worth nothing after the rest.
TERMINAL_DAYS = 90
# Servers and the cloud stand in our own rooms: a year, as browsers and auditors are used to.
SERVER_DAYS = 365
AUTHORITY_DAYS = 3650
CLOUD = "cloud"
LOOPBACK_NAMES = ("localhost", "127.0.0.1")
_TERMINALS = "terminals"

_CLIENT, _SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


@dataclass(frozen=True, slots=True)
class Identity:
    """Files with which a program proves who it is over TLS (PEM)."""

    ca: Path
    certificate: Path
    key: Path

    def copied(self, folder: Path, stem: str) -> Identity:
        """Copy the files into a program's own folder, and return those."""
        private_folder(folder)
        return Identity(
            write_private(folder / "ca.pem", self.ca.read_bytes()),
            write_private(folder / f"{stem}.pem", self.certificate.read_bytes()),
            write_private(folder / f"{stem}.key", self.key.read_bytes()),
        )


@dataclass(frozen=True, slots=True)
class CardKeys:
    """What making member cards needs."""

    issuer: Ed25519Signer
    admin_master: bytes
    reference: bytes
    estate: EstateKey


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
            estate = EstateKey(bytes.fromhex((folder / "estate.key").read_text()))
        except (OSError, ValueError, KeyError) as error:
            raise AuthorityMissing(f"{folder}: {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise AuthorityMissing("ca.key is not an EC key")
        if not isinstance(issuer, ed25519.Ed25519PrivateKey):
            raise AuthorityMissing("issuer.key is not an Ed25519 key")
        self._key = key
        signer = Ed25519Signer(issuer.private_bytes_raw())
        self.cards = CardKeys(signer, master, reference, estate)
        self._sites = Sites(folder / "sites")

    @property
    def ca(self) -> Path:
        """The certificate that everybody here trusts."""
        return self.folder / "ca.pem"

    def site_key(self, site: str) -> SiteKey | None:
        """Return what the terminals of ``site`` are given; None when cards have no place for it.

        A new site takes the next place, and is known from then on.
        """
        slot = self._sites.slot(site)
        return None if slot is None else self.cards.estate.site_key(site, slot)

    def site_keys(self) -> tuple[SiteKey, ...]:
        """The keys of all known sites, by their place on cards."""
        estate = self.cards.estate
        return tuple(estate.site_key(site, slot) for slot, site in enumerate(self._sites.known()))

    def sign(self, request_pem: bytes, at: Address, now: datetime) -> bytes:
        """Return the client certificate (PEM) that a terminal asked for, and keep a copy.

        BadRequest unless the request is signed by its own key and names this terminal.
        """
        try:
            request = x509.load_pem_x509_csr(request_pem)
        except ValueError as error:
            raise BadRequest("not a PKCS #10 request") from error
        if not request.is_signature_valid or request.subject != terminal_name(at):
            raise BadRequest(f"it does not name {at.terminal} at {at.site}, or is not its own")
        if at.tenant != self.tenant or at.terminal == CLOUD:
            raise BadRequest(f"{at.terminal} of tenant {at.tenant}")
        key = request.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise BadRequest("the key must be EC P-256")
        return self._certify(request.subject, at.terminal, key, now)

    def renew(self, present: x509.Certificate, now: datetime) -> bytes:
        """Return a new certificate (PEM) for the key of a terminal's ``present`` one.

        BadRequest unless this authority issued it, NotListed when the terminal was withdrawn.
        """
        try:
            present.verify_directly_issued_by(self._certificate)
            at, key = address_of(present), present.public_key()
        except (InvalidSignature, ValueError, TypeError, IndexError) as error:
            raise BadRequest(
                "the present certificate is no terminal's of this authority"
            ) from error
        if not self._listed(at.terminal).exists():
            raise NotListed(at.terminal)
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise BadRequest("the key must be EC P-256")
        return self._certify(present.subject, at.terminal, key, now)

    def withdraw(self, terminal: str) -> None:
        """Take a terminal off the list; its certificate is kept aside. NotListed without it."""
        listed = self._listed(terminal)
        if not listed.exists():
            raise NotListed(terminal)
        listed.replace(private_folder(self.folder / "withdrawn") / listed.name)

    def certificates(self) -> tuple[x509.Certificate, ...]:
        """The newest certificate of every terminal on the list, in the order of ids."""
        files = sorted(private_folder(self.folder / _TERMINALS).glob("*.pem"))
        return tuple(x509.load_pem_x509_certificate(file.read_bytes()) for file in files)

    def terminals(self) -> tuple[Address, ...]:
        """Every terminal on the list, in the order of ids: who may speak at the broker."""
        return tuple(map(address_of, self.certificates()))

    def server(self, names: Iterable[str], now: datetime) -> Identity:
        """Make a server's key and certificate for host names and addresses; the first names it."""
        hosts = tuple(names)
        return self._own("server", hosts[0], now, _SERVER, hosts)

    def cloud(self, now: datetime) -> Identity:
        """Make the cloud's client key and certificate: the one name that may speak to all."""
        return self._own("cloud", CLOUD, now, _CLIENT, ())

    def _listed(self, terminal: str) -> Path:
        return self.folder / _TERMINALS / f"{check_level(terminal)}.pem"

    def _certify(
        self, subject: x509.Name, terminal: str, key: ec.EllipticCurvePublicKey, now: datetime
    ) -> bytes:
        certificate = self._issue(subject, key, now, TERMINAL_DAYS, _CLIENT)
        private_folder(self.folder / _TERMINALS)
        write_private(self._listed(terminal), certificate)
        return certificate

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
        certificate = self._issue(
            common_name(name), key.public_key(), now, SERVER_DAYS, usage, hosts
        )
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
        builder = dated(subject, self._certificate.subject, key, now, days)
        builder = builder.add_extension(
            x509.BasicConstraints(ca=False, path_length=None), critical=True
        )
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        builder = builder.add_extension(issuer_key, critical=False)
        names = [general_name(host) for host in hosts]
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, SHA256()).public_bytes(Encoding.PEM)


def init(folder: Path, tenant: str, now: datetime) -> Authority:
    """Make every key of a new authority; AuthorityThere when the folder holds one."""
    private_folder(folder)
    if (folder / "ca.key").exists():
        raise AuthorityThere(str(folder))
    key = ec.generate_private_key(ec.SECP256R1())
    subject = common_name(f"{tenant} tapledger authority")
    builder = dated(subject, subject, key.public_key(), now, AUTHORITY_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(SIGNS_CERTIFICATES, critical=True)
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
        ("estate.key", os.urandom(ESTATE_KEY_BYTES).hex().encode()),
        ("ca.key", private_pem(key)),  # the last: with it the authority is whole
    ):
        write_private(folder / name, content)
    return Authority(folder)


def request(at: Address, key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a terminal's certificate request (PKCS #10, PEM), signed by its own key."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(terminal_name(at))
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


def private_pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    """PKCS #8 PEM of a private key, in clear: the file's mode protects it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
