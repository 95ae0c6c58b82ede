"""CMAC, diversified keys and NXP's signature of origin."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from drivers.keys import aes_cmac
from drivers.originality import NTAG_424_KEY, genuine
from protocol.block_cipher import cmac, cmac_subkeys, triple_des
from protocol.card_keys import diversify, diversify_triple_des, diversify_unpadded
from tests.drivers.vectors import Case, UnknownCase, raw


def _algorithm(name: str, key: bytes) -> BlockCipherAlgorithm:
    if name.startswith("AES"):
        return AES(key)
    if "TDEA" in name or "DES" in name:
        return triple_des(key)
    raise UnknownCase(name)


def aes_cmac_case(case: Case, document: Case) -> None:
    key, message = raw(case, "key"), raw(case, "msg")
    assert cmac(_algorithm(case["alg"], key), message) == raw(case, "mac")
    if case["alg"].startswith("AES"):
        assert aes_cmac(key, message) == raw(case, "mac")


def wycheproof(case: Case, document: Case) -> None:
    computed = aes_cmac(raw(case, "key"), raw(case, "msg"))
    assert (computed == raw(case, "tag")) is case["valid"]


def diversification(case: Case, document: Case) -> None:
    kinds = {
        "AES-128": diversify,
        "AES-192": diversify,
        "AES-256": diversify,
        "2TDEA": diversify_triple_des,
        "3TDEA": diversify_triple_des,
        "AES-128-CMAC-no-pad32": diversify_unpadded,
    }
    if case["alg"] not in kinds:
        raise UnknownCase(case["alg"])
    master, card_input = raw(case, "master_key"), raw(case, "div_input")
    assert kinds[case["alg"]](master, card_input) == raw(case, "diversified_key")
    first, second = cmac_subkeys(_algorithm(case["alg"], master))
    assert case.get("cmac_k1", first.hex()) == first.hex()
    assert case.get("cmac_k2", second.hex()) == second.hex()


def originality(case: Case, document: Case) -> None:
    if document["curve"] != "secp224r1":
        raise UnknownCase(document["curve"])
    key, uid, signature = raw(document, "public_key"), raw(case, "uid"), raw(case, "signature")
    assert genuine(uid, signature, key) is case["valid"]
    if key == NTAG_424_KEY:
        assert genuine(uid, signature) is case["valid"]


CHECKS = {
    "aes_cmac": aes_cmac_case,
    "aes_cmac_wycheproof": wycheproof,
    "an10922_key_diversification": diversification,
    "nxp_originality_ecc": originality,
}
