"""LRP: the primitive, and EV2 authentication and messaging that stand on it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drivers.errors import DriverError
from drivers.secure_channel import ev2, lrp_messaging
from drivers.secure_channel.channel import CommunicationMode
from protocol.block_cipher import pad, unpad
from protocol.lrp import ENCRYPTION_KEY, MAC_KEY, LrpKey, nibbles_of
from tests.drivers.vectors import Case, UnknownCase, raw
from tests.drivers.vectors.desfire_ev2 import AF, OK, apdu

# Read and write of data name file, offset and length in front of what is enciphered.
HEADER_BYTES = {0xAD: 7, 0xBD: 7, 0x8D: 7, 0x3D: 7}


def lricb(case: Case) -> None:
    key, updated, counter = LrpKey.expand(raw(case, "key")), case["updated_key"], raw(case, "iv")
    plain = raw(case, "plaintext")
    blocks = pad(plain) if case["padding"] else plain
    encrypted = raw(case, "ciphertext"), raw(case, "next_counter")
    assert key.encrypt(updated, counter, blocks) == encrypted
    opened, following = key.decrypt(updated, counter, encrypted[0])
    assert (unpad(opened) if case["padding"] else opened) == plain
    assert following == encrypted[1]


def evaluation(case: Case) -> None:
    key = LrpKey.expand(raw(case, "key"))
    nibbles = [int(digit, 16) for digit in case["nibbles"]]
    result = key.evaluate(case["updated_key"], nibbles, final=case["finalize"])
    assert result == raw(case, "result")
    if len(nibbles) % 2 == 0:
        assert list(nibbles_of(bytes.fromhex(case["nibbles"]))) == nibbles


def lrp_cmac(case: Case) -> None:
    key = LrpKey.expand(raw(case, "key"))
    assert key.cmac(raw(case, "msg")) == raw(case, "mac")
    first, second = key.cmac_subkeys
    assert case.get("k1", first.hex()) == first.hex()
    assert case.get("k2", second.hex()) == second.hex()


def expansion(case: Case) -> None:
    key = LrpKey.expand(raw(case, "key"))
    assert [value.hex() for value in key.plaintexts] == case["plaintexts"]
    assert [value.hex() for value in key.updated_keys][: len(case["updated_keys"])] == case[
        "updated_keys"
    ]


def session(case: Case) -> None:
    key, rnd_a, rnd_b = raw(case, "key"), raw(case, "rnd_a"), raw(case, "rnd_b")
    master = lrp_messaging.session_master(key, rnd_a, rnd_b)
    assert lrp_messaging.session_vector(rnd_a, rnd_b) == raw(case, "sv")
    assert master == raw(case, "ses_auth_master_key")
    updated = LrpKey.expand(master).updated_keys
    for name, index in (("mac_updated_key", MAC_KEY), ("enc_updated_key", ENCRYPTION_KEY)):
        assert case.get(name, updated[index].hex()) == updated[index].hex()
    if "rapdu2" in case:
        _authentication(case)


def _authentication(case: Case) -> None:
    key, rnd_b, plain = raw(case, "key"), raw(case, "rnd_b"), raw(case, "picc_data_plain")
    request, challenge, answer = raw(case, "capdu1"), raw(case, "rapdu1"), raw(case, "rapdu2")
    assert apdu(ev2.FIRST, ev2.first_request(request[5], request[7:-1])) == request
    reader = lrp_messaging.ReaderAuthentication(key, challenge.removesuffix(AF), raw(case, "rnd_a"))
    assert apdu(0xAF, reader.token) == raw(case, "capdu2")
    opened, capabilities = reader.first(answer.removesuffix(OK))
    assert opened.ti + capabilities.card + capabilities.reader == plain
    assert opened.ti == raw(case, "ti")
    card = lrp_messaging.CardAuthentication(key, rnd_b)
    assert card.challenge + AF == challenge
    answered, mirror = card.first(reader.token, opened.ti, capabilities)
    assert answered + OK == answer
    assert (mirror.ti, mirror.counter) == (opened.ti, opened.counter)


def messaging(case: Case) -> None:
    master = LrpKey.expand(raw(case, "key")).cmac(raw(case, "sv"))
    suites = [lrp_messaging.LrpSuite(master, raw(case["steps"][0], "enc_ctr")) for _ in range(2)]
    start = case["steps"][0]["cmd_ctr"]
    reader, card = (ev2.Session(suite, raw(case, "ti"), start) for suite in suites)
    for step in case["steps"]:
        assert reader.counter == card.counter == step["cmd_ctr"]
        assert {suite.counter.hex() for suite in suites} == {step["enc_ctr"]}
        _step(step, reader, card)


def _step(step: Case, reader: ev2.Session, card: ev2.Session) -> None:
    command, answer = raw(step, "capdu"), raw(step, "rapdu")
    mode, ins = CommunicationMode(step.get("comm_mode", "full")), command[1]
    header_length = len(raw(step, "header")) if "header" in step else HEADER_BYTES.get(ins, 0)
    header, data = card.card_unwrap(ins, command[5:-1], header_length, mode=mode)
    assert step.get("header", header.hex()) == header.hex()
    assert step.get("data", data.hex()) == data.hex()
    assert apdu(ins, reader.reader_wrap(ins, header, data, mode=mode)) == command
    plain = bytes.fromhex(step.get("response_data", ""))
    assert reader.reader_unwrap(answer[:-2], mode=mode, status=answer[-1]) == plain
    assert card.card_wrap(plain, mode=mode, status=answer[-1]) == answer[:-2]


KINDS: dict[str, Callable[[Case], None]] = {
    "LRICB": lricb,
    "EvalLRP": evaluation,
    "CMAC_LRP": lrp_cmac,
    "LRP_session": session,
    "LRP_messaging": messaging,
}


def lrp(case: Case, document: Case) -> None:
    check = expansion if "plaintexts" in case else KINDS.get(case["type"])
    if check is None:
        raise UnknownCase(case["type"])
    if case.get("expect") == "reject":
        with pytest.raises(DriverError):
            check(case)
        return
    check(case)


CHECKS = {"lrp_an12304": lrp}
