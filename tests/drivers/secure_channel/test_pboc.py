"""A purchase of public walk-throughs, and both sides of the purse's offers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import CardRefused
from drivers.secure_channel import pboc
from protocol import pboc_purse

KEY = bytes.fromhex("11223344556677888877665544332211")
TERMINAL = bytes.fromhex("001122334455")
MOMENT = bytes.fromhex("20120229135100")


def test_the_published_purchase() -> None:
    offer = pboc.PurchaseOffer.decode(bytes.fromhex("000000000000000000010011223344"))
    key = pboc_purse.session_key(KEY, pboc.purchase_input(offer, 0x0001_0001))
    assert key.hex() == "003238abc57659dd"
    kind = pboc_purse.Purse.PURSE.purchase_type
    mac1 = pboc_purse.mac(key, pboc_purse.transaction(0x1000, kind, TERMINAL, MOMENT))
    assert mac1.hex() == "f15cab75"
    assert pboc_purse.mac(key, pboc.purchase_mac2_input(0x1000)).hex() == "56988a13"
    opening = pboc.initialize_purchase(pboc_purse.Purse.PURSE, 1, 0x1000, TERMINAL)
    assert opening.encode().hex() == "805001020b0100001000001122334455"
    debit = pboc.debit(1, MOMENT, mac1)
    assert debit.encode().hex() == "805401000f" + "00000001" + "20120229135100" + "f15cab75"


def test_the_tac_of_a_load_begins_with_the_new_balance() -> None:
    details = pboc_purse.transaction(100, pboc_purse.Purse.PURSE.load_type, TERMINAL, MOMENT)
    text = pboc.load_tac_input(1100, b"\x00\x07", details)
    assert text.hex() == "0000044c" + "0007" + "00000064" + "02" + TERMINAL.hex() + MOMENT.hex()


def test_a_diversified_key_is_a_block_and_the_block_of_its_complement() -> None:
    factor = bytes.fromhex("0123456789ABCDEF")
    key = pboc.diversify(KEY, factor)
    assert key[:8] == pboc_purse.session_key(KEY, factor)
    assert key[8:] == pboc_purse.session_key(KEY, bytes.fromhex("FEDCBA9876543210"))


@given(st.binary(max_size=20))
def test_arbitrary_offers_are_read_or_refused(data: bytes) -> None:
    for read in (pboc.LoadOffer.decode, pboc.PurchaseOffer.decode):
        try:
            offer = read(data)
        except CardRefused:
            continue
        assert offer.encode() == data


@pytest.mark.parametrize("size", [4, 8])
def test_a_short_challenge_is_filled_with_zeros(size: int) -> None:
    challenge = b"\xab" * size
    command = pboc.external_authenticate(KEY, challenge, key_id=2)
    assert (command.p2, len(command.data)) == (2, 8)
    assert command.data == pboc_purse.session_key(KEY, challenge + bytes(8 - size))
    assert pboc.get_challenge(size).ne == size
