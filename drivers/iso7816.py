"""Commands of ISO/IEC 7816-4 that CPU cards share; what their files and keys mean is the cards'."""

from __future__ import annotations

from drivers.apdu import SHORT_NE_MAX, CommandApdu, ResponseApdu

SFI_BITS = 3  # a short file identifier stands above three bits of P2
_RECORD_NUMBER = 0x04  # P2: P1 is the number of a record


def select_name(name: bytes) -> CommandApdu:
    """SELECT an application by its name (11.2.2)."""
    return CommandApdu(0x00, 0xA4, 0x04, 0x00, name, ne=SHORT_NE_MAX)


def select_path(path: bytes) -> CommandApdu:
    """SELECT a file by its path from the master file, without the master file's own identifier."""
    return CommandApdu(0x00, 0xA4, 0x08, 0x00, path, ne=SHORT_NE_MAX)


def read_binary(sfi: int, size: int) -> CommandApdu:
    """READ BINARY from the beginning of a file (11.3.3)."""
    return CommandApdu(0x00, 0xB0, 0x80 | sfi, 0x00, ne=size)


def update_binary(sfi: int, data: bytes) -> CommandApdu:
    """UPDATE BINARY at the beginning of a file (11.3.5)."""
    return CommandApdu(0x00, 0xD6, 0x80 | sfi, 0x00, data)


def read_record(sfi: int, number: int) -> CommandApdu:
    """READ RECORD by number, from 1 (11.4.3)."""
    return CommandApdu(0x00, 0xB2, number, sfi << SFI_BITS | _RECORD_NUMBER, ne=SHORT_NE_MAX)


def update_record(sfi: int, number: int, data: bytes) -> CommandApdu:
    """UPDATE RECORD by number, from 1 (11.4.5)."""
    return CommandApdu(0x00, 0xDC, number, sfi << SFI_BITS | _RECORD_NUMBER, data)


def append_record(sfi: int, data: bytes) -> CommandApdu:
    """APPEND RECORD (11.4.6)."""
    return CommandApdu(0x00, 0xE2, 0x00, sfi << SFI_BITS, data)


def verify(reference: int, secret: bytes) -> CommandApdu:
    """VERIFY (11.6.6); without a secret it asks how many tries are left."""
    return CommandApdu(0x00, 0x20, 0x00, reference, secret)


def tries_left(response: ResponseApdu) -> int | None:
    """What 63Cx says about the tries left, 0 for 6983; None for any other status."""
    if response.sw == 0x6983:
        return 0
    return response.sw & 0x0F if response.sw & 0xFFF0 == 0x63C0 else None


def get_challenge(size: int) -> CommandApdu:
    """GET CHALLENGE (11.5.3)."""
    return CommandApdu(0x00, 0x84, 0x00, 0x00, ne=size)


def change_reference_data(key: int, secret: bytes) -> CommandApdu:
    """CHANGE REFERENCE DATA to a new key, without the old one (11.6.7)."""
    return CommandApdu(0x00, 0x24, 0x01, key, secret)


def internal_authenticate(key: int, challenge: bytes) -> CommandApdu:
    """INTERNAL AUTHENTICATE: the card enciphers the challenge with its key (11.5.2)."""
    return CommandApdu(0x00, 0x88, 0x00, key, challenge, ne=len(challenge))


def external_authenticate(key: int, proof: bytes, *, answer: int | None = None) -> CommandApdu:
    """EXTERNAL AUTHENTICATE, or MUTUAL with an ``answer`` of so many bytes (11.5.4, 11.5.5)."""
    return CommandApdu(0x00, 0x82, 0x00, key, proof, ne=answer)
