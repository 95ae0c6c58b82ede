"""SUN messages of NTAG 424 DNA in AES, LRP and plain mirror."""

from __future__ import annotations

import pytest

from protocol import sun
from protocol.errors import SunRefused
from protocol.lrp import LrpKey
from tests.drivers.vectors import Case, UnknownCase, raw


def message(case: Case, document: Case) -> None:
    if case["mode"] not in ("AES", "LRP"):
        raise UnknownCase(case["mode"])
    if case.get("expect") == "reject":
        with pytest.raises(SunRefused):
            _verified(case)
        return
    picc = _verified(case)
    assert picc.mode.name == case["mode"]
    assert picc.uid == raw(case, "uid")
    assert picc.counter == case["sdm_read_ctr"]
    _derived(case, picc)
    if "picc_plain" in case:
        plain, mode = sun.decrypt_picc(_meta_key(case), raw(case, "picc_enc_data"))
        assert (plain, mode) == (raw(case, "picc_plain"), picc.mode)
        assert case.get("picc_data_tag", plain[:1].hex()) == plain[:1].hex()
        rand = bytes.fromhex(case.get("picc_rand", "")) + plain[1 + len(picc.mirrored) :]
        sealed = sun.seal_picc(_meta_key(case), picc, rand)
        assert sealed == raw(case, "picc_enc_data")
    if case.get("file_data"):
        encrypted, plain = raw(case, "sdm_enc_file_data"), raw(case, "file_data")
        assert sun.open_file(picc, _file_key(case), encrypted) == plain
        assert sun.seal_file(picc, _file_key(case), plain) == encrypted


def _meta_key(case: Case) -> bytes:
    return raw(case, "key" if "key" in case else "sdm_meta_read_key")


def _file_key(case: Case) -> bytes:
    return raw(case, "key" if "key" in case else "sdm_file_read_key")


def _verified(case: Case) -> sun.PiccData:
    """The tag's data as far as the message proves it; one wrong bit of the MAC is refused."""
    if case.get("plain_mirror"):
        counter = case.get("ctr_ascii") or f"{case['sdm_read_ctr']:06X}"
        picc = sun.plain_picc(case["uid"], counter, sun.SunMode[case["mode"]])
    else:
        picc = sun.open_picc(_meta_key(case), raw(case, "picc_enc_data"))
    if "sdmmac" in case:
        window, mac = case["mac_input_ascii"].encode("ascii"), raw(case, "sdmmac")
        sun.verify(picc, _file_key(case), window, mac)
        with pytest.raises(SunRefused):
            sun.verify(picc, _file_key(case), window, bytes((mac[0] ^ 1,)) + mac[1:])
    return picc


def _derived(case: Case, picc: sun.PiccData) -> None:
    vectors, keys = sun.session_vectors(picc), sun.session_keys(picc, _file_key(case))
    made = {
        "sv": vectors[0],
        "sv1": vectors[0],
        "sv2": vectors[1],
        "ses_sdm_file_read_enc_key": keys.encryption,
        "ses_sdm_file_read_mac_key": keys.mac,
        "ses_master_key": keys.mac,
        "mac_updated_key": LrpKey.expand(keys.mac).updated_keys[0],
        "enc_updated_key": LrpKey.expand(keys.mac).updated_keys[1],
    }
    expected = {name: case[name] for name in made if case.get(name)}
    assert {name: made[name].hex() for name in expected} == expected


CHECKS = {"ntag424_sun_aes": message, "ntag424_sun_lrp": message}
