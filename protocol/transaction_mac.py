"""The MAC with which a DESFire card proves a committed transaction to whoever holds its key.

Source: MF2DL(H)x0 data sheet, section 10.3 (AES). Session keys agree with one other public
implementation. No value (TMV) was ever published, so that the input's layout is unproven: treat a
TMV as evidence only after a real card's has been reproduced.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.hazmat.primitives.ciphers.algorithms import AES

from protocol.block_cipher import cbc_decrypt, cbc_encrypt, cmac, odd_bytes

COUNTER_BYTES = 4
TMV_BYTES = 8
READER_ID_BYTES = 16

_BLOCK = 16
_MAC_LABEL, _ENCRYPTION_LABEL = b"\x5a\x00\x01\x00\x80", b"\xa5\x00\x01\x00\x80"
_COMMIT_READER_ID = b"\xc8"


@dataclass(frozen=True, slots=True)
class TransactionKeys:
    """Session keys of one transaction: of the MAC, and of the reader id that the card returns."""

    mac: bytes = field(repr=False)
    encryption: bytes = field(repr=False)


def reader_id(terminal: str) -> bytes:
    """Return the 16 bytes by which a card remembers a terminal."""
    return sha256(b"tl/reader/" + terminal.encode()).digest()[:READER_ID_BYTES]


def session_vectors(counter: int, uid: bytes) -> tuple[bytes, bytes]:
    """SV1 and SV2; ``counter`` is the TMC that the commit returns, which is one up already."""
    context = counter.to_bytes(COUNTER_BYTES, "little") + uid
    return _MAC_LABEL + context, _ENCRYPTION_LABEL + context


def session_keys(application_key: bytes, counter: int, uid: bytes) -> TransactionKeys:
    """Return the keys from AppTransactionMACKey, the committed TMC and the 7-byte UID."""
    one, two = session_vectors(counter, uid)
    return TransactionKeys(cmac(AES(application_key), one), cmac(AES(application_key), two))


def data_input(ins: int, header: bytes, data: bytes) -> bytes:
    """What reading or writing a file or record adds (10.3.4.2): header and plain data, padded."""
    return _zero_padded(bytes((ins,)) + header) + _zero_padded(data)


def value_input(ins: int, file_number: int, value: bytes) -> bytes:
    """What GetValue, Credit, Debit and LimitedCredit add: the 4-byte value as on the wire."""
    return _zero_padded(bytes((ins, file_number)) + value)


def reader_input(current: bytes, encrypted_previous: bytes) -> bytes:
    """What an authenticated CommitReaderID adds: this reader's id and what the card answered."""
    return _zero_padded(_COMMIT_READER_ID + current + encrypted_previous)


def transaction_mac(keys: TransactionKeys, transaction_input: bytes) -> bytes:
    """TMV: 8 bytes over the joined inputs of the transaction's commands, in their order."""
    return odd_bytes(cmac(AES(keys.mac), transaction_input))


def verify(keys: TransactionKeys, transaction_input: bytes, value: bytes) -> bool:
    """Whether the TMV is of these inputs."""
    return hmac.compare_digest(transaction_mac(keys, transaction_input), value)


def encrypt_reader_id(keys: TransactionKeys, previous: bytes) -> bytes:
    """EncTMRI: the 16-byte id of the reader that committed last."""
    return cbc_encrypt(AES(keys.encryption), bytes(_BLOCK), previous)


def decrypt_reader_id(keys: TransactionKeys, encrypted: bytes) -> bytes:
    """Inverse of ``encrypt_reader_id``."""
    return cbc_decrypt(AES(keys.encryption), bytes(_BLOCK), encrypted)


def _zero_padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _BLOCK)
