"""The cloud's keys on disk: one for the ledger's word, one for prices and rules; and the estate's.

The first two it makes itself. The estate's is the station's, and here only where the operator put
it, because from it comes every key of every card.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from cloud.errors import AlreadyInitialised, BadConfig, NotInitialised
from protocol.estate import EstateKey
from protocol.signing import EDDSA, Ed25519Signer

_NAMES = ("ledger", "rules")
# Nobody guesses 128 bits.
_CLIENT_ID_BYTES = 16
_CLIENT_ID_LABEL = b"tapledger mqtt client id"


class Keys(NamedTuple):
    """``ledger`` signs watermarks, lists, grants, commands; ``rules`` signs bundles.

    ``estate`` checks what cards prove; None where cards prove nothing to the cloud.
    """

    ledger: Ed25519Signer
    rules: Ed25519Signer
    estate: EstateKey | None = None


def make(folder: Path) -> None:
    """Make both keys, readable by their owner alone; AlreadyInitialised when there are any."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if any(_file(folder, name).exists() for name in _NAMES):
        raise AlreadyInitialised(str(folder))
    for name in _NAMES:
        pem = Ed25519PrivateKey.generate().private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        descriptor = os.open(_file(folder, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            os.fsync(file.fileno())


def load(folder: Path, estate: Path | None = None) -> Keys:
    """Read the keys; NotInitialised when there are none, BadConfig when a file is no key."""
    ledger, rules = (_load(_file(folder, name)) for name in _NAMES)
    return Keys(ledger, rules, None if estate is None else load_estate(estate))


def load_estate(file: Path) -> EstateKey:
    """Read an estate's key (64 hex characters); BadConfig, also when others may read the file."""
    try:
        if file.stat().st_mode & (stat.S_IRWXO | stat.S_IWGRP):
            raise BadConfig(f"cards.estate: others than its owner may read or write {file}")
        return EstateKey(bytes.fromhex(file.read_text()))
    except OSError as error:
        raise BadConfig(f"cards.estate: {file}: {error.strerror}") from error
    except ValueError as error:  # its words could show the secret
        raise BadConfig(f"cards.estate: {file}: not an estate's key") from error


def client_id(folder: Path) -> str:
    """The cloud's name at its broker: always the same, and known to nobody without its key.

    A broker ends the session whose name a second client takes, and not every broker ties a name to
    a certificate. Errors as in ``load``.
    """
    private = _private_key(_file(folder, "ledger")).private_bytes_raw()
    name = HKDF(SHA256(), _CLIENT_ID_BYTES, None, _CLIENT_ID_LABEL).derive(private)
    return f"cloud-{name.hex()}"


def public_text(key: Ed25519Signer) -> str:
    """A public key as configurations name it: ``-8:hex``."""
    return f"{EDDSA}:{key.verifier.public.hex()}"


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.pem"


def _load(file: Path) -> Ed25519Signer:
    return Ed25519Signer(_private_key(file).private_bytes_raw())


def _private_key(file: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(file.read_bytes(), None)
    except FileNotFoundError as error:
        raise NotInitialised(str(file)) from error
    except (OSError, ValueError, TypeError) as error:
        raise BadConfig(f"{file}: not a private key in PEM") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BadConfig(f"{file}: not an Ed25519 key")
    return key
