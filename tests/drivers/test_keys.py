"""Published values: RFC 4493, NIST SP 800-38B, Wycheproof, NXP AN10922, RFC 3394."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from drivers.keys import aes_cmac, wrap_key
from drivers.personalise import admin_key
from protocol.card_keys import diversify, diversify_triple_des, diversify_unpadded

VECTORS = Path(__file__).parents[1] / "vectors"


def cases(name: str) -> list[dict[str, Any]]:
    """The cases of one vector file."""
    found: list[dict[str, Any]] = json.loads((VECTORS / name).read_text())["cases"]
    return found


@pytest.mark.parametrize(
    "case", [case for case in cases("aes_cmac.json") if case["alg"].startswith("AES")]
)
def test_cmac_as_the_standards_print_it(case: dict[str, str]) -> None:
    mac = aes_cmac(bytes.fromhex(case["key"]), bytes.fromhex(case["msg"]))
    assert mac.hex() == case["mac"]


def test_cmac_as_wycheproof_judges_it() -> None:
    found = cases("aes_cmac_wycheproof.json")
    for case in found:
        mac = aes_cmac(bytes.fromhex(case["key"]), bytes.fromhex(case["msg"]))
        assert (mac.hex() == case["tag"]) is case["valid"], case["tcId"]
    assert {case["valid"] for case in found} == {True, False}


@pytest.mark.parametrize(
    "case", [case for case in cases("an10922_key_diversification.json") if case["alg"] == "AES-128"]
)
def test_an_aes_key_is_diversified_as_an10922_prints_it(case: dict[str, str]) -> None:
    parts = case["uid"] + case["aid"] + case["system_id"]
    assert parts == case["div_input"]
    key = diversify(bytes.fromhex(case["master_key"]), bytes.fromhex(parts))
    assert key.hex() == case["diversified_key"]


def test_an_input_of_two_whole_blocks_is_not_padded() -> None:
    master = bytes(16)
    full = bytes(range(31))
    assert diversify(master, full) == aes_cmac(master, b"\x01" + full)
    assert diversify(master, full[:30]) != aes_cmac(master, b"\x01" + full[:30] + b"\x80")


@pytest.mark.parametrize("size", [0, 32])
def test_an_input_that_does_not_fit_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="1 to 31"):
        diversify(bytes(16), bytes(size))


@pytest.mark.parametrize("size", [16, 24, 32])
def test_a_diversified_key_is_as_long_as_its_master(size: int) -> None:
    """No published value of AES-192 and AES-256 is at hand: only their shape is tested."""
    keys = {diversify(bytes(range(size)), bytes((card,)) * 7) for card in range(20)}
    assert {len(key) for key in keys} == {size}
    assert len({key[:16] for key in keys}) == len({key[-16:] for key in keys}) == 20


@pytest.mark.parametrize(("master", "size"), [(8, 7), (16, 0), (16, 16), (24, 16), (32, 7)])
def test_a_triple_des_master_or_input_that_does_not_fit_is_refused(master: int, size: int) -> None:
    with pytest.raises(ValueError, match="1 to 15"):
        diversify_triple_des(bytes(master), bytes(size))


def test_the_unpadded_variant_is_an10922_only_for_long_inputs() -> None:
    master, long = bytes(range(16)), bytes(range(31))
    assert diversify_unpadded(master, long) == diversify(master, long)
    assert diversify_unpadded(master, long[:15]) != diversify(master, long[:15])


def test_admin_keys_differ_by_card_and_system() -> None:
    keys = {
        admin_key(bytes(16), bytes([card]) * 16, system)
        for card in (1, 2)
        for system in (b"a", b"b")
    }
    assert len(keys) == 4


def test_key_wrap_as_rfc_3394_prints_it() -> None:
    # RFC 3394, section 4.1
    wrapped = wrap_key(bytes(range(16)), bytes.fromhex("00112233445566778899AABBCCDDEEFF"))
    assert wrapped.hex().upper() == "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5"
