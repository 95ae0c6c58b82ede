"""X.509 as this product uses it: names, dates, and what a certificate says. Signing is authority's.

RFC 5280. A terminal's subject says where it stands: O = tenant, OU = site, CN = terminal.
"""

from __future__ import annotations

import ipaddress
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from protocol.topics import Address, address

# Clocks of terminals are late: a certificate is good from an hour before it was made.
CLOCK_SKEW = timedelta(hours=1)

SIGNS_CERTIFICATES = x509.KeyUsage(
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


def common_name(name: str) -> x509.Name:
    """A subject that is one name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def terminal_name(at: Address) -> x509.Name:
    """The subject of a terminal."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, at.tenant),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, at.site),
            x509.NameAttribute(NameOID.COMMON_NAME, at.terminal),
        ]
    )


def address_of(certificate: x509.Certificate) -> Address:
    """Where the terminal of a certificate stands."""
    parts = (NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.COMMON_NAME)
    values = [certificate.subject.get_attributes_for_oid(part)[0].value for part in parts]
    return address(*(str(value) for value in values))


def renewed_from(certificate: x509.Certificate) -> datetime:
    """When two thirds of its life are over: from then on it is renewed."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return begin + (end - begin) * 2 / 3


def dated(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    days: int,
) -> x509.CertificateBuilder:
    """Begin a certificate that is good from ``now`` on for ``days``."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + timedelta(days=days))
    )


def general_name(host: str) -> x509.GeneralName:
    """A host name or an address, as a server's certificate lists it."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
