"""Secure channels of GlobalPlatform: each session from its opening to its last command."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drivers.apdu import ResponseApdu
from drivers.errors import CardForged, ChannelBroken
from drivers.secure_channel import scp02, scp03
from drivers.secure_channel.external_authenticate import initialize_update
from tests.drivers.vectors import Case, Check, UnknownCase, raw
from tests.drivers.vectors.iso7816 import command


def check_scp03(case: Case, _: Case) -> None:
    match case.get("type"):
        case None:
            check_scp03_session(case)
        case "kcv_aes":
            assert scp03.key_check_value(raw(case, "key")) == raw(case, "kcv")
        case kind:
            raise UnknownCase(kind)


def check_scp03_session(case: Case) -> None:
    static = scp03.StaticKeys(*(raw(case, f"key_{name}") for name in ("enc", "mac", "dek")))
    host_challenge, card_challenge = raw(case, "host_challenge"), raw(case, "card_challenge")
    opening = initialize_update(case["kvn"], host_challenge)
    assert opening.encode() == raw(case, "initialize_update")

    greeting = scp03.Greeting.decode(raw(case, "initialize_update_response"))
    assert greeting.encode() == raw(case, "initialize_update_response")
    assert greeting.card_challenge == card_challenge
    keys = scp03.derive_session(static, host_challenge, card_challenge)
    assert keys == tuple(raw(case, f"s_{name}") for name in ("enc", "mac", "rmac"))
    challenges = (host_challenge, card_challenge)
    assert scp03.card_cryptogram(keys, *challenges) == raw(case, "card_cryptogram")
    assert scp03.host_cryptogram(keys, *challenges) == raw(case, "host_cryptogram")

    level = case["security_level"]
    sent, host = scp03.authenticate(static, host_challenge, greeting, level)
    assert sent.encode() == raw(case, "external_authenticate")
    forged = replace(greeting, card_cryptogram=bytes(8))
    with pytest.raises(CardForged):
        scp03.authenticate(static, host_challenge, forged, level)
    card = scp03.accept(keys, *challenges, command(raw(case, "external_authenticate")))
    for step in case["steps"]:
        check_scp03_step(host, card, step)


def check_scp03_step(host: scp03.Session, card: scp03.Session, step: Case) -> None:
    plain, wrapped = raw(step, "plain"), raw(step, "wrapped")
    assert host.protect(command(plain)).encode() == wrapped
    with pytest.raises(ChannelBroken):
        replace(card).open_command(replace(command(wrapped), p2=0x55))
    assert card.open_command(command(wrapped)).encode() == plain
    if "response" not in step:
        return
    answer = ResponseApdu(raw(step, "response"), int(step["sw"], 16))
    opened = ResponseApdu(raw(step, "response_plain"), answer.sw)
    assert card.protect_response(opened) == answer
    assert host.open(answer) == opened
    if host.level & scp03.R_MAC:
        with pytest.raises(ChannelBroken):
            host.open(ResponseApdu(answer.data, 0x6200))


def check_scp02(case: Case, _: Case) -> None:
    if "type" in case:
        raise UnknownCase(case["type"])
    static = scp02.Keys(*(raw(case, f"key_{name}") for name in ("enc", "mac", "dek")))
    host_challenge, sequence = raw(case, "host_challenge"), raw(case, "sequence_counter")
    answer = sequence + raw(case, "card_challenge")
    greeting = scp02.Greeting.decode(raw(case, "initialize_update_response"))
    assert greeting.encode() == raw(case, "initialize_update_response")
    assert greeting.sequence + greeting.card_challenge == answer
    opening = initialize_update(raw(case, "initialize_update")[2], host_challenge)
    assert opening.encode() == raw(case, "initialize_update")

    keys = scp02.derive_session(static, sequence)
    assert keys == tuple(raw(case, f"s_{name}") for name in ("enc", "mac", "rmac", "dek"))
    assert scp02.card_cryptogram(keys, host_challenge, answer) == raw(case, "card_cryptogram")
    assert scp02.host_cryptogram(keys, host_challenge, answer) == raw(case, "host_cryptogram")

    opened = raw(case, "external_authenticate")
    sent, host = scp02.authenticate(static, host_challenge, greeting, opened[2])
    assert sent.encode() == opened
    forged = replace(greeting, card_cryptogram=bytes(8))
    with pytest.raises(CardForged):
        scp02.authenticate(static, host_challenge, forged, opened[2])
    card = scp02.accept(keys, host_challenge, answer, command(opened))
    for step in case["steps"]:
        plain, wrapped = raw(step, "plain"), raw(step, "wrapped")
        assert host.protect(command(plain)).encode() == wrapped
        with pytest.raises(ChannelBroken):
            replace(card).open_command(replace(command(wrapped), p2=0x55))
        assert card.open_command(command(wrapped)).encode() == plain


CHECKS: dict[str, Check] = {"scp02": check_scp02, "scp03": check_scp03}
