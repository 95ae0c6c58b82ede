"""DESFire EV1 and D40: both sides of the authentications, and of sessions."""

from __future__ import annotations

from drivers.apdu import CommandApdu
from drivers.secure_channel import ev1
from drivers.secure_channel.channel import CommunicationMode
from drivers.secure_channel.ev2 import crc32
from protocol.block_cipher import xor
from tests.drivers.vectors import Case, UnknownCase, raw

COMMANDS = {"AuthenticateAES": 0xAA, "AuthenticateISO": 0x1A, "AuthenticateD40": 0x0A}


def authenticate(case: Case, document: Case) -> None:
    if COMMANDS.get(case["type"]) != int(case["ins"], 16):
        raise UnknownCase(case["type"])
    ins, key, rnd_a = COMMANDS[case["type"]], raw(case, "key"), raw(case, "rnd_a")
    assert len(rnd_a) == ev1.random_bytes(ins, key)
    reader = ev1.ReaderAuthentication(ins, key, raw(case, "picc_challenge"), rnd_a)
    assert reader.rnd_b == raw(case, "rnd_b")
    assert reader.token == raw(case, "pcd_response")
    session_key = reader.session_key(raw(case, "picc_response"))
    assert session_key[: len(raw(case, "session_key"))] == raw(case, "session_key")
    if "session_key_without_parity" in case:
        assert bytes(byte & 0xFE for byte in session_key) == raw(case, "session_key_without_parity")

    card = ev1.CardAuthentication(ins, key, reader.rnd_b)
    assert card.challenge == raw(case, "picc_challenge")
    assert card.answer(reader.token) == (raw(case, "picc_response"), session_key)
    if "capdus" in case:
        assert len(case["capdus"]) == 2
        key_number = bytes.fromhex(case["capdus"][0])[5:6]
        commands = [(ins, key_number), (0xAF, reader.token)]
        sent = [CommandApdu(0x90, code, 0, 0, data, ne=256).encode() for code, data in commands]
        assert [apdu.hex() for apdu in sent] == case["capdus"]


def messaging(case: Case, document: Case) -> None:
    session_key, iv = raw(case, "session_key"), raw(case, "iv_before")
    way = int(case.get("authentication", "aa"), 16)
    reader, card = ev1.Session(way, session_key, iv), ev1.Session(way, session_key, iv)
    ins, header, mode = (
        int(case["cmd"], 16),
        raw(case, "header"),
        CommunicationMode(case["comm_mode"]),
    )
    if "new_key" in case:
        _new_key(case, reader, card)
    else:
        data = raw(case, "data")
        wire = reader.reader_wrap(ins, header, data, mode=mode)
        assert wire == raw(case, "wire")
        opened = card.card_unwrap(ins, wire, len(header), mode=mode, length=len(data))
        assert opened == (header, data)
        if "crc32" in case:
            command = bytes((ins,)) + header + data
            summed = command if data else raw(case, "response_data") + b"\x00"
            assert crc32(summed) == raw(case, "crc32")
    _response(case, reader, card, mode)
    if "iv_after" in case:
        assert reader.iv == card.iv == raw(case, "iv_after")


def iso_messaging(case: Case, document: Case) -> None:
    if case.get("type") == "ChangeKeyD40":
        _new_key_d40(case)
    else:
        messaging(case, document)


def _new_key(case: Case, reader: ev1.Session, card: ev1.Session) -> None:
    ins, header = int(case["cmd"], 16), raw(case, "header")
    new, version = raw(case, "new_key"), case["new_key_version"]
    old = raw(case, "old_key") if case.get("old_key") and case.get("crc_new_key") else None
    wire = reader.wrap_new_key(ins, header, new, version, old)
    assert wire == raw(case, "wire")
    assert card.unwrap_new_key(ins, wire, len(header), old) == (header, new, version)
    data = (new if old is None else xor(new, old)) + bytes((version,))
    if "crc_cmd" in case:
        assert crc32(bytes((ins,)) + header + data) == raw(case, "crc_cmd")
    if case.get("crc_new_key"):
        assert crc32(new) == raw(case, "crc_new_key")


def _new_key_d40(case: Case) -> None:
    """No session of ours: what a card takes in one as the new key that is not triple DES."""
    data = raw(case, "new_key") + bytes((case["new_key_version"],))
    assert ev1.crc16(data) == raw(case, "crc16")
    plain = data + ev1.crc16(data)
    link = ev1.reader_link(ev1.D40, raw(case, "session_key"))
    wire = raw(case, "header") + link.send(plain + bytes(-len(plain) % 8))
    assert wire == raw(case, "wire")


def _response(case: Case, reader: ev1.Session, card: ev1.Session, mode: CommunicationMode) -> None:
    received = case.get("response", case.get("response_mac"))
    if received is None:
        return
    status = int(case["response_status"], 16)
    data = bytes.fromhex(case.get("response_data", ""))
    wire, size = bytes.fromhex(received), len(data)
    assert reader.reader_unwrap(wire, mode=mode, status=status, length=size) == data
    assert card.card_wrap(data, mode=mode, status=status).hex() == received


CHECKS = {
    "desfire_ev1_authenticate": authenticate,
    "desfire_iso_authenticate": authenticate,
    "desfire_ev1_secure_messaging": messaging,
    "desfire_iso_messaging": iso_messaging,
}
