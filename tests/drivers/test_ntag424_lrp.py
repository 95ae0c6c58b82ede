"""NTAG 424 DNA on its way from AES to LRP mode, and what its configuration refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from drivers.apdu import CommandApdu, ResponseApdu, Steps
from drivers.cards.ntag424 import DF_NAME, FACTORY_KEY, authenticate, file_settings, personalise
from drivers.errors import CardRefused
from drivers.secure_channel.channel import CommunicationMode
from drivers.virtual.cards.ntag424 import Ntag424Card
from drivers.virtual.cards.ntag424_state import FILE_BYTES, Ntag424State
from protocol.sun import SunMode
from protocol.sun_link import template
from tests.drivers.frame_world import SITE, draws
from tests.drivers.test_ntag424 import APPLICATION, MODES, PAGE, UID, ask_sun, issue, tag_keys
from tests.drivers.world import NONCE, TENANT, DirectReader, do

SELECT = bytes.fromhex(APPLICATION)


def test_a_real_tag_that_leaves_aes_heard_just_this_and_answered_without_a_mac() -> None:
    """Log of a real one: MichaelsPlayground/TalkToYourNTAG424DNACard, "change auth mode to LRP.md".

    SELECT and GetVersion are ours; behind the log the tag answers as NT4H2421Gx, table 19.
    """
    log = (
        ("00a4040007d276000085010100", "9000"),
        ("9060000000", "0404023000110591af"),
        ("90af000000", "0404020102110591af"),
        ("90af000000", f"{UID.hex()}cf39d4498012209100"),
        ("9071000002000000", "67cee03aab35edf30ee74b49f21bb23f91af"),
        (
            "90af000020159862989c5563f7d39ec459c0188539e62e8725ec374a169c595b82275dfd4800",
            "517502d5de08c8240a67f318b2140b0daea79063297b0e6be491cb05d5ea2c209100",
        ),
        ("905c00001905f79bb2b381791159d1aa652d958fc12a3cd841a7f008562b00", "9100"),
        ("00a4040007d276000085010100", "9000"),
        ("9071000002000000", "919d"),
        ("907100000300010200", ""),
    )
    nonce = bytes.fromhex("25f512031e91465d3f7f9e8c12db7cfa")
    layout = partial(template, PAGE, SITE.site, TENANT)
    dialogue = personalise(tag_keys(), layout, lambda: nonce, lrp=True)
    command = next(dialogue)
    for expected, answer in log:
        assert command.encode(extended=False).hex() == expected
        if answer:
            data = bytes.fromhex(answer)
            command = dialogue.send(ResponseApdu(data[:-2], int.from_bytes(data[-2:], "big")))


class _Staying(Ntag424Card):
    """Says that it leaves AES mode, and stays."""

    def transmit(self, apdu: bytes) -> bytes:
        return b"\x91\x00" if apdu[:2] == b"\x90\x5c" else super().transmit(apdu)


def test_a_tag_that_only_says_so_is_not_taken_for_one_in_lrp_mode() -> None:
    card = _Staying(Ntag424State(UID), draw=draws())
    with pytest.raises(CardRefused, match="and is not"):
        issue(DirectReader(card), SunMode.LRP)
    assert card.state.keys == [FACTORY_KEY] * 5


def test_a_link_that_only_fits_in_aes_mode_is_found_before_that_is_left() -> None:
    card = Ntag424Card(Ntag424State(UID), draw=draws())
    reader, page = DirectReader(card), PAGE.ljust(145, "x")
    layout = partial(template, page, SITE.site, TENANT)
    assert layout(SunMode.AES).mac_at < FILE_BYTES
    with pytest.raises(ValueError, match="too long"):
        do(personalise(tag_keys(), layout, lambda: NONCE, lrp=True), reader)
    assert card.state == Ntag424State(UID)


def test_a_tag_in_lrp_mode_stays_there_asked_for_or_not() -> None:
    card = Ntag424Card(Ntag424State(UID, lrp=True), draw=draws())
    issue(DirectReader(card), SunMode.AES)
    assert card.state.lrp
    assert ask_sun(card).counter == 1


def reading() -> Steps[bytes]:
    """What a phone asks of a tag."""
    yield CommandApdu(0x00, 0xA4, 0x04, 0x00, DF_NAME, ne=256)
    yield CommandApdu(0x00, 0xA4, 0x00, 0x0C, b"\xe1\x04")
    return (yield CommandApdu(0x00, 0xB0, 0x00, 0x00, ne=FILE_BYTES)).data


def changer(card: Ntag424Card) -> Callable[[int, bytes, bytes], str]:
    """Authenticate with the factory's change key; send command, header and data; say the status."""
    reader = DirectReader(card)
    card.reset()
    card.transmit(SELECT)
    opened = do(authenticate(0, FACTORY_KEY, NONCE), reader)
    assert opened

    def send(ins: int, header: bytes, data: bytes) -> str:
        payload = opened.session.reader_wrap(ins, header, data, mode=CommunicationMode.FULL)
        answer = card.transmit(CommandApdu(0x90, ins, 0, 0, payload, ne=256).encode(extended=False))
        return answer[-2:].hex() if len(answer) == 2 else f"{answer[-2:].hex()} with a MAC"

    return send


def test_lrp_mode_ends_the_session_and_aes_for_good() -> None:
    card = Ntag424Card(Ntag424State(UID), draw=draws())
    send = changer(card)
    assert send(0x5C, b"\x05", bytes(10)) == "9100 with a MAC"
    assert send(0x5C, b"\x05", bytes(4) + b"\x02" + bytes(5)) == "9100"
    assert send(0x5C, b"\x05", bytes(10)) == "91ae"
    assert card.transmit(bytes.fromhex("9071000002000000")).hex() == "919d"
    send = changer(card)
    assert send(0x5C, b"\x05", bytes(10)) == "9100 with a MAC"
    assert card.state.lrp
    aes = Ntag424Card(Ntag424State(UID), draw=draws())
    aes.transmit(SELECT)
    assert aes.transmit(bytes.fromhex("907100000300010200")).hex() == "919d"


@pytest.mark.parametrize(
    ("header", "data", "status"), [(b"\x05", bytes(9), "917e"), (b"\x06", bytes(10), "919e")]
)
def test_another_configuration_is_refused(header: bytes, data: bytes, status: str) -> None:
    assert changer(Ntag424Card(Ntag424State(UID), draw=draws()))(0x5C, header, data) == status


def test_new_settings_start_the_count_anew() -> None:
    card = Ntag424Card(Ntag424State(UID), draw=draws())
    layout = template(PAGE, SITE.site, TENANT, SunMode.AES)
    for _ in range(2):
        assert changer(card)(0x5F, b"\x02", file_settings(layout)) == "9100 with a MAC"
        assert card.state.reads == 0
        card.reset()
        do(reading(), DirectReader(card))
        assert card.state.reads == 1


@MODES
def test_a_message_must_have_room_in_the_file(mode: SunMode) -> None:
    """NT4H2421Gx, table 69: each place beyond its last, the rest as ours."""
    layout = template(PAGE, SITE.site, TENANT, mode)
    picc = FILE_BYTES - (32 if mode is SunMode.AES else 48)
    for wrong in (
        replace(layout, picc_at=picc + 1),
        replace(layout, window_at=layout.encrypted_at + 1),
        replace(layout, encrypted_at=layout.mac_at - 31),
        replace(layout, encrypted_at=layout.picc_at + 1),
        replace(layout, mac_at=FILE_BYTES - 15),
    ):
        card = Ntag424Card(Ntag424State(UID, lrp=mode is SunMode.LRP), draw=draws())
        assert changer(card)(0x5F, b"\x02", file_settings(wrong)) == "919e"
    card = Ntag424Card(Ntag424State(UID, lrp=mode is SunMode.LRP), draw=draws())
    assert changer(card)(0x5F, b"\x02", file_settings(layout)) == "9100 with a MAC"
