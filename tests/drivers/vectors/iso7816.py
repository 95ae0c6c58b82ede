"""The retail MAC, and the authentication and secure messaging that are built on it."""

from __future__ import annotations

from typing import Any

import pytest

from drivers.apdu import CommandApdu, ResponseApdu
from drivers.errors import CardForged
from drivers.secure_channel import retail_mac
from drivers.virtual.command import parse
from tests.drivers.vectors import Case, Check, raw


def command(apdu: bytes) -> CommandApdu:
    """The bytes of a command as the terminal holds it."""
    read = parse(apdu)
    return CommandApdu(read.cla, read.ins, read.p1, read.p2, read.data, read.ne)


def check_mac(case: Case, _: Case) -> None:
    mac = retail_mac.mac(
        raw(case, "key"), raw(case, "msg"), padding=case["padding"], iv=raw(case, "iv")
    )
    assert mac[: len(raw(case, "mac"))] == raw(case, "mac")


def check_mutual_authentication(case: Case, _: Case) -> None:
    keys = retail_mac.Keys(raw(case, "k_enc"), raw(case, "k_mac"))
    rnd_ifd, rnd_icc = raw(case, "rnd_ifd"), raw(case, "rnd_icc")
    k_ifd, k_icc = raw(case, "k_ifd"), raw(case, "k_icc")
    assert retail_mac.get_challenge().encode() == raw(case, "get_challenge")

    sent = retail_mac.mutual_authenticate(retail_mac.seal_token(keys, rnd_ifd, rnd_icc, k_ifd))
    assert sent.encode() == raw(case, "capdu")
    assert retail_mac.open_token(keys, sent.data, rnd_icc, rnd_ifd) == k_ifd
    answer = ResponseApdu.decode(raw(case, "rapdu"))
    assert retail_mac.seal_token(keys, rnd_icc, rnd_ifd, k_icc) == answer.data
    assert retail_mac.open_token(keys, answer.data, rnd_ifd, rnd_icc) == k_icc
    forged = bytes((answer.data[0] ^ 1,)) + answer.data[1:]
    with pytest.raises(CardForged):
        retail_mac.open_token(keys, forged, rnd_ifd, rnd_icc)

    session = retail_mac.Session.agree(rnd_ifd, rnd_icc, k_ifd, k_icc)
    assert session.keys == (raw(case, "ks_enc"), raw(case, "ks_mac"))
    assert session.keys == retail_mac.derive_keys(raw(case, "k_seed"))
    assert session.ssc == raw(case, "ssc")
    for name in sorted(name for name in case if name.startswith("sm_")):
        check_messaging(session, case[name])


def check_messaging(session: retail_mac.Session, exchange: dict[str, Any]) -> None:
    """One command of the session, on both sides."""
    plain, wrapped = raw(exchange, "plain"), raw(exchange, "wrapped")
    card = retail_mac.Session(session.keys, session.ssc)
    assert session.protect(command(plain)).encode() == wrapped
    assert card.open_command(command(wrapped)).encode() == plain
    assert card.ssc == session.ssc


CHECKS: dict[str, Check] = {
    "iso7816_mutual_auth_3des": check_mutual_authentication,
    "iso9797_1_alg3": check_mac,
}
