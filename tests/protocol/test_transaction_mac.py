"""A transaction's MAC covers each command of it; its layout is the data sheet's and unproven."""

from __future__ import annotations

import pytest

from protocol import transaction_mac as tmac

UID = bytes.fromhex("04010203040506")
KEYS = tmac.session_keys(bytes(range(16)), 9, UID)
READ = tmac.data_input(0xAD, b"\x01" + bytes(3) + b"\x05\x00\x00", b"12345")
DEBIT = tmac.value_input(0xDC, 2, (100).to_bytes(4, "little"))
READER = tmac.reader_input(b"R" * 16, b"P" * 16)


def test_each_command_adds_whole_blocks_of_what_was_on_the_wire() -> None:
    read = bytes.fromhex("ad 01 000000 050000 0000000000000000") + b"12345" + bytes(11)
    debit = bytes.fromhex("dc 02 64000000") + bytes(10)
    reader = b"\xc8" + b"R" * 16 + b"P" * 16 + bytes(15)
    assert (read, debit, reader) == (READ, DEBIT, READER)
    assert tmac.data_input(0xEB, b"\x03", b"") == b"\xeb\x03" + bytes(14)


@pytest.mark.parametrize(
    "other",
    [
        READ + READER,
        DEBIT + READ + READER,
        READ + tmac.value_input(0xDC, 2, (101).to_bytes(4, "little")) + READER,
        READ + tmac.value_input(0x0C, 2, (100).to_bytes(4, "little")) + READER,
        READ + DEBIT + tmac.reader_input(b"S" * 16, b"P" * 16),
    ],
)
def test_another_transaction_has_another_value(other: bytes) -> None:
    value = tmac.transaction_mac(KEYS, READ + DEBIT + READER)
    assert len(value) == tmac.TMV_BYTES
    assert tmac.verify(KEYS, READ + DEBIT + READER, value)
    assert not tmac.verify(KEYS, other, value)


def test_another_count_or_card_has_other_keys() -> None:
    value = tmac.transaction_mac(KEYS, DEBIT)
    for keys in (
        tmac.session_keys(bytes(range(16)), 10, UID),
        tmac.session_keys(bytes(range(16)), 9, UID[::-1]),
        tmac.session_keys(bytes(range(1, 17)), 9, UID),
    ):
        assert not tmac.verify(keys, DEBIT, value)


def test_a_reader_id_comes_back_to_who_holds_the_key() -> None:
    encrypted = tmac.encrypt_reader_id(KEYS, b"R" * 16)
    assert encrypted != b"R" * 16
    assert tmac.decrypt_reader_id(KEYS, encrypted) == b"R" * 16
