"""EV2 of DESFire and NTAG 424: both sides of authentication and messaging, keys and TMAC keys."""

from __future__ import annotations

import pytest

from drivers.apdu import CommandApdu
from drivers.errors import DriverError
from drivers.secure_channel import ev2
from drivers.secure_channel.channel import CommunicationMode
from drivers.secure_channel.ev1 import crc16
from protocol import transaction_mac
from protocol.block_cipher import odd_bytes, pad
from tests.drivers.vectors import Case, UnknownCase, raw

AF, OK = b"\x91\xaf", b"\x91\x00"


def apdu(ins: int, data: bytes) -> bytes:
    return CommandApdu(0x90, ins, 0, 0, data, ne=256).encode()


def authenticate(case: Case, document: Case) -> None:
    if case["type"] == "EV2SessionKeys":
        return _session_keys(case)
    if case["type"] not in ("AuthenticateEV2First", "AuthenticateEV2NonFirst"):
        raise UnknownCase(case["type"])
    if case.get("expect") == "reject":
        with pytest.raises(DriverError):
            _as_sent(case)
        return None
    return _authenticated(case)


def _as_sent(case: Case) -> None:
    """The case's own bytes through the half that receives them: one of them must be refused."""
    if "rapdu1" in case and "rapdu2" in case:
        _reader(case)
    if "capdu2" in case:
        token = raw(case, "capdu2")[5:-1]
        ev2.CardAuthentication(raw(case, "key"), raw(case, "rnd_b")).first(token, b"abcd")


def _session_keys(case: Case) -> None:
    key, rnd_a, rnd_b = raw(case, "key"), raw(case, "rnd_a"), raw(case, "rnd_b")
    expected = raw(case, "ses_auth_enc_key"), raw(case, "ses_auth_mac_key")
    assert ev2.session_keys(key, rnd_a, rnd_b) == expected
    assert ev2.session_vectors(rnd_a, rnd_b) == (raw(case, "sv1"), raw(case, "sv2"))


def _running() -> ev2.Session:
    return ev2.Session(ev2.AesSuite(bytes(16), bytes(16)), b"abcd", 7)


def _reader(case: Case) -> tuple[ev2.ReaderAuthentication, ev2.Session, ev2.Capabilities]:
    """Both answers of the card through the reader's half."""
    challenge, answer = raw(case, "rapdu1"), raw(case, "rapdu2")
    assert challenge.endswith(AF)
    assert answer.endswith(OK)
    reader = ev2.ReaderAuthentication(raw(case, "key"), challenge[:-2], raw(case, "rnd_a"))
    if case["type"] == "AuthenticateEV2First":
        return reader, *reader.first(answer[:-2])
    return reader, reader.non_first(answer[:-2], _running()), ev2.Capabilities()


def _authenticated(case: Case) -> None:
    reader, session, capabilities = _reader(case)
    first = case["type"] == "AuthenticateEV2First"
    card = ev2.CardAuthentication(raw(case, "key"), raw(case, "rnd_b"))
    assert reader.rnd_b == raw(case, "rnd_b")
    assert card.challenge + AF == raw(case, "rapdu1")
    said = raw(case, "capdu1")[7:-1]
    request = (
        ev2.first_request(case["key_no"], said) if first else ev2.non_first_request(case["key_no"])
    )
    assert apdu(ev2.FIRST if first else ev2.NON_FIRST, request) == raw(case, "capdu1")
    assert apdu(0xAF, reader.token) == raw(case, "capdu2")
    if first:
        assert (capabilities.card, capabilities.reader) == (
            raw(case, "pd_cap2"),
            raw(case, "pcd_cap2"),
        )
        assert session.ti == raw(case, "ti")
        assert session.counter == 0
        answer, mirror = card.first(reader.token, raw(case, "ti"), capabilities)
    else:
        assert (session.ti, session.counter) == (_running().ti, _running().counter)
        answer, mirror = card.non_first(reader.token, _running())
    assert answer + OK == raw(case, "rapdu2")
    for suite in (session.suite, mirror.suite):
        assert isinstance(suite, ev2.AesSuite)
        assert suite.encryption_key == raw(case, "ses_auth_enc_key")
        assert suite.mac_key == raw(case, "ses_auth_mac_key")
    _session_keys(case)


def messaging(case: Case, document: Case) -> None:
    kind = case.get("type", "exchange")
    if kind == "iv":
        command = {"command": True, "response": False}[case["direction"]]
        ti, counter = raw(case, "ti"), case["cmd_ctr"]
        iv = ev2.initial_vector(raw(case, "ses_auth_enc_key"), ti, counter, command=command)
        assert iv == raw(case, "iv")
    elif kind == "mac":
        suite = ev2.AesSuite(bytes(16), raw(case, "ses_auth_mac_key"))
        full = suite.mac(raw(case, "mac_input"))
        fits = case.get("cmac", full.hex()) == full.hex() and odd_bytes(full) == raw(case, "mact")
        assert fits is (case.get("expect") != "reject")
    elif kind == "exchange":
        exchange(case, {**document, **case})
    else:
        raise UnknownCase(kind)


def exchange(case: Case, keys: Case) -> None:
    """One command and its response through both sides; ``keys`` may stand in the document."""
    reader, card = (_session(keys, case["cmd_ctr"]) for _ in range(2))
    ins, mode = int(case["cmd"], 16), CommunicationMode(case["comm_mode"])
    header, data = raw(case, "header"), bytes.fromhex(case.get("data") or "")
    sent = apdu(ins, reader.reader_wrap(ins, header, data, mode=mode))
    if case.get("expect") == "reject":
        with pytest.raises(DriverError):
            _one_is_refused(case, reader, card)
        return
    received, response = raw(case, "rapdu"), raw(case, "response_data")
    answered, status = received[:-2], received[-1]
    assert sent == raw(case, "capdu")
    assert card.card_unwrap(ins, sent[5:-1], len(header), mode=mode) == (header, data)
    assert reader.reader_unwrap(answered, mode=mode, status=status) == response
    assert card.card_wrap(response, mode=mode, status=status) == answered
    assert reader.counter == card.counter == case["cmd_ctr"] + 1
    _initial_vectors(case, keys)


def _one_is_refused(case: Case, reader: ev2.Session, card: ev2.Session) -> None:
    """The case's own command and response: one of them must not pass."""
    mode = CommunicationMode(case["comm_mode"])
    if "capdu" in case:
        payload, header = raw(case, "capdu")[5:-1], raw(case, "header")
        card.card_unwrap(int(case["cmd"], 16), payload, len(header), mode=mode)
    if "rapdu" in case:
        received = raw(case, "rapdu")
        reader.reader_unwrap(received[:-2], mode=mode, status=received[-1])


def _session(keys: Case, counter: int) -> ev2.Session:
    suite = ev2.AesSuite(raw(keys, "ses_auth_enc_key"), raw(keys, "ses_auth_mac_key"))
    return ev2.Session(suite, raw(keys, "ti"), counter)


def _initial_vectors(case: Case, keys: Case) -> None:
    key, ti, counter = raw(keys, "ses_auth_enc_key"), raw(keys, "ti"), case["cmd_ctr"]
    if case.get("iv_cmd"):
        assert ev2.initial_vector(key, ti, counter, command=True) == raw(case, "iv_cmd")
    if case.get("iv_resp"):
        assert ev2.initial_vector(key, ti, counter + 1, command=False) == raw(case, "iv_resp")


def value_transaction(case: Case, document: Case) -> None:
    exchange(case, document)


def change_key(case: Case, document: Case) -> None:
    kind = case.get("type", "change_key")
    if kind == "crc32_desfire":
        assert ev2.crc32(raw(case, "data")) == raw(case, "crc")
    elif kind == "crc16_desfire":
        assert crc16(raw(case, "data")) == raw(case, "crc")
    elif kind == "change_key":
        _change_key(case)
    else:
        raise UnknownCase(kind)


def _change_key(case: Case) -> None:
    own = case["key_no"] == case["auth_key_no"]
    old = None if own else raw(case, "old_key")
    new, header = raw(case, "new_key"), bytes((case["key_no"],))
    data = ev2.new_key_data(new, case["new_key_version"], old)
    assert pad(data) == raw(case, "key_data_padded")
    if case.get("crc32nk"):
        assert ev2.crc32(new) == raw(case, "crc32nk")
    reader, card = (_session(case, case["cmd_ctr"]) for _ in range(2))
    full = CommunicationMode.FULL
    sent = apdu(0xC4, reader.reader_wrap(0xC4, header, data, mode=full))
    assert sent == raw(case, "capdu")
    assert card.card_unwrap(0xC4, sent[5:-1], 1, mode=full) == (header, data)
    _initial_vectors(case, case)
    answered, status = raw(case, "rapdu")[:-2], raw(case, "rapdu")[-1]
    if answered:
        assert reader.reader_unwrap(answered, mode=full, status=status) == b""
        assert card.card_wrap(mode=full, status=status) == answered
    else:
        assert own, "only a change of the session's own key is answered without a MAC"


def transaction_keys(case: Case, document: Case) -> None:
    key, uid, counter = (
        raw(case, "app_transaction_mac_key"),
        raw(case, "uid"),
        case["tmc_committed"],
    )
    assert case.get("tmc_before", counter - 1) == counter - 1
    vectors = transaction_mac.session_vectors(counter, uid)
    assert vectors[0].hex() == case.get("sv1", vectors[0].hex())
    assert vectors[1].hex() == case.get("sv2", vectors[1].hex())
    keys = transaction_mac.session_keys(key, counter, uid)
    assert keys.mac == raw(case, "ses_tm_mac_key")
    assert case.get("ses_tm_enc_key", keys.encryption.hex()) == keys.encryption.hex()


CHECKS = {
    "desfire_ev2_value_transaction": value_transaction,
    "desfire_transaction_mac_keys": transaction_keys,
    "ev2_authenticate": authenticate,
    "ev2_changekey_crc": change_key,
    "ev2_secure_messaging": messaging,
}
