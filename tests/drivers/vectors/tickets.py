"""Ultralight AES, Ultralight C and FeliCa Lite-S: both sides of authentication, and the MACs."""

from __future__ import annotations

import pytest

from drivers.errors import DriverError
from drivers.keys import aes_cmac
from drivers.secure_channel import felica_lite, ultralight
from drivers.secure_channel.ev2 import session_vectors
from protocol.block_cipher import odd_bytes
from tests.drivers.vectors import Case, UnknownCase, raw


def ultralight_aes(case: Case, document: Case) -> None:
    if "auth" in case["type"].lower() and "frames" in case:
        key = raw(case, "key")
        _frames(case, ultralight.aes_cipher(key), ultralight.aes_cipher(key))
        mac_key = ultralight.session_mac_key(key, raw(case, "rnd_a"), raw(case, "rnd_b"))
        assert case.get("ses_auth_mac_key", mac_key.hex()) == mac_key.hex()
        vector = session_vectors(raw(case, "rnd_a"), raw(case, "rnd_b"))[1]
        assert case.get("sv2", vector.hex()) == vector.hex()
    elif "cmac_payload" in case:
        _protected_frame(case)
    else:
        raise UnknownCase(case["type"])


def _protected_frame(case: Case) -> None:
    payload = raw(case, "cmac_payload")
    counter, frame = int.from_bytes(payload[:2], "little"), payload[2:]
    key = raw(case, "ses_auth_mac_key" if "ses_auth_mac_key" in case else "key")
    mac = bytes.fromhex(next(case[name] for name in ("mact", "cmac", "mac") if name in case))
    full = aes_cmac(key, payload)
    assert mac in (full, odd_bytes(full))
    protected = frame + odd_bytes(full)
    assert ultralight.frame_mac(key, counter, frame) == odd_bytes(full)
    assert ultralight.Session(key, counter).wrap(frame) == protected
    assert ultralight.Session(key, counter).unwrap(protected) == frame


def ultralight_c(case: Case, document: Case) -> None:
    if case["type"] != "UltralightC_3DES":
        raise UnknownCase(case["type"])
    key = raw(case, "key_des")
    _frames(case, ultralight.c_cipher(key), ultralight.c_cipher(key))
    assert raw(case, "picc_challenge") == bytes.fromhex(case["frames"][1])[1:]


def _frames(case: Case, reader_cipher: ultralight.Cipher, card_cipher: ultralight.Cipher) -> None:
    """Four frames: request, challenge, token, answer; each from the side that sends it."""
    request, challenge, token, answer = map(bytes.fromhex, case["frames"])
    assert request == ultralight.request(case.get("key_no", 0))
    if case.get("expect") == "reject":
        with pytest.raises(DriverError):
            ultralight.ReaderAuthentication(reader_cipher, challenge, raw(case, "rnd_a")).check(
                answer
            )
        return
    reader = ultralight.ReaderAuthentication(reader_cipher, challenge, raw(case, "rnd_a"))
    assert reader.rnd_b == raw(case, "rnd_b")
    assert reader.frame == token
    reader.check(answer)
    card = ultralight.CardAuthentication(card_cipher, raw(case, "rnd_b"))
    assert card.challenge == challenge
    assert card.answer(token) == (answer, raw(case, "rnd_a"))


def felica(case: Case, document: Case) -> None:
    kind = case["type"]
    if kind == "mac":
        key, iv, flip = raw(case, "key"), raw(case, "iv"), bool(case.get("flip_key"))
        assert felica_lite.mac(raw(case, "data"), key, iv, flip_key=flip) == raw(case, "mac")
    elif kind == "read_with_mac":
        challenge, data, mac = raw(case, "rc"), raw(case, "data"), raw(case, "mac")
        key = felica_lite.session_key(raw(case, "card_key"), challenge)
        assert key == raw(case, "session_key")
        assert felica_lite.read_mac(key, challenge, data) == mac
        assert felica_lite.check_read(key, challenge, data, mac) == data
        with pytest.raises(DriverError):
            felica_lite.check_read(key, challenge, data, bytes((mac[0] ^ 1,)) + mac[1:])
    elif kind == "write_with_mac":
        challenge = raw(case, "rc")
        key = felica_lite.session_key(raw(case, "card_key"), challenge)
        assert case.get("session_key", key.hex()) == key.hex()
        counter, data = raw(case, "wcnt")[:3], raw(case, "data")
        block = case["block"] if isinstance(case["block"], int) else int(case["block"], 16)
        mac = felica_lite.write_mac(key, challenge, counter, block, data)
        assert mac == raw(case, "mac")[:8]
    else:
        raise UnknownCase(kind)


CHECKS = {
    "felica_lite_mac": felica,
    "ultralight_aes_auth": ultralight_aes,
    "ultralight_c_auth": ultralight_c,
}
