"""NXP's signature over a UID: the published pairs are in the vectors, here is what turns them."""

from __future__ import annotations

import pytest

from drivers.originality import genuine

UID = bytes.fromhex("047728824d6580")
SIGNATURE = bytes.fromhex(
    "9c7068636a285feba1e2406654009dce6e8a9c9ce318be0262ed1625"
    "19b970b32fb802858420d667d12cebcd32bb4bc8afe21c753a5a6c26"
)


def test_a_genuine_chip_and_nothing_near_it() -> None:
    assert genuine(UID, SIGNATURE)
    for bit in range(8 * len(UID)):
        uid = (int.from_bytes(UID, "big") ^ (1 << bit)).to_bytes(len(UID), "big")
        assert not genuine(uid, SIGNATURE)
    for bit in range(8 * len(SIGNATURE)):
        turned = (int.from_bytes(SIGNATURE, "big") ^ (1 << bit)).to_bytes(len(SIGNATURE), "big")
        assert not genuine(UID, turned)


@pytest.mark.parametrize("signature", [b"", SIGNATURE[:-1], SIGNATURE + b"\x00", bytes(56)])
def test_what_is_no_signature_is_refused(signature: bytes) -> None:
    assert not genuine(UID, signature)


@pytest.mark.parametrize("uid", [b"", bytes(29), bytes(64)])
def test_what_is_no_uid_is_refused(uid: bytes) -> None:
    assert not genuine(uid, SIGNATURE)
